import json
import os
import subprocess
import sys

import numpy as np
import pytest
from generate_runs import (
    ROOT,
    changed_model,
    command,
    end_of,
    rewrite_json,
    start_process,
)

from vreason_jax import command_line
from vreason_jax.output.trace import TOKEN_KEYS

# --- what it prints -----------------------------------------------------------------------------


def test_stdout_is_the_answer_alone_and_stderr_progress_and_warnings(run):
    answer = run.traced()
    assert answer.out == answer.trace["text"] + "\n"
    assert answer.warnings == answer.trace["warnings"]
    prompt, loaded, decoded = answer.progress
    tokens = answer.trace["tokens"]
    assert prompt == f"{tokens['prompt']} prompt tokens, {tokens['video']} of them video"
    assert loaded.startswith("loaded the model in ")
    assert decoded.startswith(f"{tokens['generated']} tokens in ")


def test_the_streamed_pieces_add_up_to_the_text(run, monkeypatch):
    pieces = []
    monkeypatch.setattr("vreason_jax.generate.write_out", pieces.append)
    answer = run.traced("--max-new-tokens", 70, "--ignore-eos")
    assert len(pieces) >= 3
    assert "".join(pieces) == answer.trace["text"] + "\n"


def test_json_prints_one_object(run):
    answer = run.traced("--json")
    line, end = answer.out[:-1], answer.out[-1]
    assert end == "\n" and "\n" not in line
    printed = json.loads(line)
    assert list(printed) == ["text", "answer", "tokens", "seconds"]
    assert printed == {key: answer.trace[key] for key in printed}


def test_a_reader_that_leaves_early_costs_neither_the_trace_nor_the_exit_code(place, tmp_path):
    process = start_process(command(place, "--trace", tmp_path / "trace.json"))
    process.stdout.close()
    process.stdout = None
    ended = end_of(process)
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "trace.json").read_text())["tokens"]["generated"] == 12
    assert "Traceback" not in ended.err and "BrokenPipe" not in ended.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_full_disk_under_stdout_is_a_user_error(tmp_path):
    script = (
        "from vreason_jax import command_line as c, sys\n"
        "sys.exit(c.exit_code(lambda: c.write_out('text')))"
    ).replace("command_line as c, sys", "command_line as c\nimport sys")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    assert ended.returncode == 2
    assert ended.stderr == "error: stdout: cannot write the answer: No space left on device\n"


# --- the trace ----------------------------------------------------------------------------------


def test_the_trace_has_the_keys_of_the_contract(run):
    trace = run.traced().trace
    assert set(trace) == {
        "text", "answer", *TOKEN_KEYS, "config", "videos", "seconds", "tokens", "programs",
        "padding", "versions", "warnings",
    }  # fmt: skip
    assert TOKEN_KEYS == (
        "token_ids", "logprob", "entropy", "ema", "peak", "alpha", "updated", "grad_norm",
        "delta_norm",
    )  # fmt: skip
    (video,) = trace["videos"]
    assert set(video) == {"path", "reader", "frame_indices", "times", "fps", "grid_thw"}
    assert len(video["times"]) == len(video["frame_indices"])
    assert set(trace["seconds"]) == {"load", "compile", "video", "vision", "prefill", "decode"}
    assert set(trace["tokens"]) == {"prompt", "video", "generated"}
    assert {"jax", "numpy"} <= set(trace["versions"])


def test_every_list_follows_the_method_token_by_token(run):
    trace = run.traced("--max-new-tokens", 9, "--ignore-eos").trace
    values = {key: np.array(trace[key]) for key in TOKEN_KEYS}
    assert {len(column) for column in values.values()} == {9}
    # The ninth token is number 8 = 2k: the last one is updated after, too.
    np.testing.assert_array_equal(np.flatnonzero(values["updated"]), [4, 8])
    ema, peak = 0.0, -np.inf
    for t in range(9):
        ema = 0.98 * ema + 0.02 * values["entropy"][t]
        assert values["ema"][t] == pytest.approx(ema, rel=1e-5)
        assert values["alpha"][t] == (1 if values["ema"][t] >= peak else -1)
        peak = max(peak, values["ema"][t])
        assert values["peak"][t] == peak
    assert ((values["grad_norm"] > 0) == values["updated"]).all()
    moved = np.diff(values["delta_norm"], prepend=0) != 0
    assert (moved == values["updated"]).all()
    assert (values["logprob"] < 0).all() and (values["entropy"] > 0).all()


def test_the_end_token_is_in_the_lists_and_not_in_the_text(run, place, tmp_path, tokenizer):
    plain = run.traced().trace
    ids = plain["token_ids"]
    end = next(i for i in ids[1:] if i != ids[0])
    model = changed_model(place, tmp_path / "model")
    rewrite_json(model / "generation_config.json", eos_token_id=[end])
    stopped = run.traced("--model", model).trace
    assert stopped["token_ids"] == ids[: ids.index(end) + 1]
    assert len(stopped["entropy"]) == stopped["tokens"]["generated"] == ids.index(end) + 1
    assert stopped["text"] == tokenizer.decode(ids[: ids.index(end)])
    going_on = run.traced("--model", model, "--ignore-eos").trace
    assert going_on["token_ids"] == ids


def test_warnings_of_the_folder_and_of_the_prompt_are_said_and_kept(run, place, tmp_path):
    model = changed_model(place, tmp_path / "model")
    rewrite_json(model / "config.json", max_position_embeddings=30)
    (model / "chat_template.json").unlink()
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    settings = json.loads((model / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    ended = run.traced("--model", model, "--video", place / "frames", "--fps", 30)
    told = "shows no media", "max_position_embeddings of 30", "20 frames a second is above the 4"
    for words in told:
        assert sum(words in line for line in ended.trace["warnings"]) == 1
        assert sum(words in line for line in ended.err.splitlines()) == 1


def test_tokens_are_counted_with_the_videos(run):
    trace = run.traced().trace
    t, h, w = trace["videos"][0]["grid_thw"]
    assert trace["tokens"]["video"] == t * h * w // 4
    text_alone = run.traced("--no-video").trace
    # Beside its tokens a video shows its start and its end.
    prompt = text_alone["tokens"]["prompt"] + trace["tokens"]["video"] + 2
    assert trace["tokens"] == {"prompt": prompt, "video": t * h * w // 4, "generated": 12}


def test_compilation_is_timed_apart(run):
    run.traced("--max-new-tokens", 33)
    again = run.traced("--max-new-tokens", 33).trace["seconds"]
    # What changes the structure is another program to decode with.
    longer = run.traced("--max-new-tokens", 33, "--set", "controller.norm=none").trace["seconds"]
    assert longer["compile"] > 5 * again["compile"]
    assert longer["prefill"] < 0.5 * longer["compile"]
    assert min(again[key] for key in ("load", "video", "vision", "prefill", "decode")) > 0


# --- the real program ---------------------------------------------------------------------------


def test_without_arguments_it_answers_about_the_embedded_clip():
    ended = end_of(start_process(["--max-new-tokens", "2", "--json"]))
    assert ended.code == 0, ended.err
    tokens = json.loads(ended.out)["tokens"]
    assert tokens["video"] > 0 and tokens["generated"] <= 2
    assert "Traceback" not in ended.err and "BrokenPipe" not in ended.err


def test_the_second_run_of_a_command_compiles_nothing(place, tmp_path):
    cache = tmp_path / "programs"
    kept = []
    for seed in (0, 0, 1):
        ended = end_of(start_process(command(place, "--seed", seed), VREASON_JAX_CACHE=cache))
        assert ended.code == 0, ended.err
        kept.append({file.name for file in cache.iterdir() if file.name.endswith("-cache")})
    # Vision, prefill and decoding: one program each, and no small ones beside them.
    assert len(kept[0]) == 3
    assert kept[0] == kept[1] == kept[2]


def test_libraries_are_silent_where_jax_chooses_the_device(place):
    # With libtpu installed, as the tests of compiling for TPUs need it, it looks for chips.
    ended = end_of(start_process(command(place, "--baseline"), JAX_PLATFORMS=""))
    assert ended.code == 0, ended.err
    assert len(ended.err.splitlines()) == 3, ended.err  # our own lines of progress


def test_help_and_a_mistyped_flag_do_not_wait_for_jax():
    script = (
        "import sys\nfrom vreason_jax import generate\n"
        "assert generate.main(['--modle', 'x']) == 2\nassert 'jax' not in sys.modules"
    )
    ended = end_of(start_process(["-c", script]))
    assert ended.code == 0, ended.err
    assert ended.err.splitlines()[-1].startswith("error: unknown argument '--modle'; the nearest")


def test_help_prints_every_flag_and_exits_with_0(capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.exit_code(lambda: __import__("vreason_jax.generate").generate.main(["--help"]))
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--model", "--video", "--fps", "--image", "--no-video", "--prompt", "--config",
                 "--set", "--baseline", "--lite", "--max-new-tokens", "--num-frames", "--seed",
                 "--dtype", "--ignore-eos", "--trace", "--dump-inputs", "--plot", "--json",
                 "--mesh", "- for stdin"):  # fmt: skip
        assert flag in shown


def test_samples_are_printed_one_after_the_other_and_traced_in_a_list(run, tmp_path):
    flags = ("--samples", 3, "--set", "sampling.temperature=1.0", "--max-new-tokens", 6)
    file = tmp_path / "trace.json"
    printed = run(*flags, "--trace", file)
    assert printed.code == 0, printed.err
    traces = json.loads(file.read_text(encoding="utf-8"))
    texts = [trace["text"] for trace in traces]
    assert printed.out == f"{texts[0]}\n--- 2 of 3\n{texts[1]}\n--- 3 of 3\n{texts[2]}\n"
    assert [trace["config"]["sampling"]["seed"] for trace in traces] == [0, 1, 2]
    listed = json.loads(run(*flags, "--json").out)
    assert [answer["text"] for answer in listed] == texts


def test_samples_that_would_all_be_the_same_are_refused(run):
    ended = run("--samples", 2)
    assert ended.code == 2 and "sampling.temperature 0" in ended.err.splitlines()[-1]
