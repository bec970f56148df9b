import json
import os
import subprocess
import sys

import numpy as np
import pytest
from generate_runs import (
    QUESTION,
    ROOT,
    changed_model,
    command,
    end_of,
    rewrite_json,
    start_process,
)
from tiny_vocabulary import ADDED_TOKENS

from vreason_jax import command_line
from vreason_jax.output.trace import TOKEN_KEYS
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.video.patches import patchify


@pytest.fixture(scope="module")
def tokenizer(place):
    return PromptTokenizer.load(place / "model")


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
        "text", "answer", *TOKEN_KEYS, "config", "videos", "seconds", "tokens", "versions",
        "warnings",
    }  # fmt: skip
    assert TOKEN_KEYS == (
        "token_ids", "logprob", "entropy", "ema", "peak", "alpha", "updated", "grad_norm",
        "delta_norm",
    )  # fmt: skip
    assert set(trace["videos"][0]) == {"path", "reader", "frame_indices", "fps", "grid_thw"}
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
    longer = run.traced("--max-new-tokens", 65).trace["seconds"]  # a longer cache: new programs
    assert longer["compile"] > 5 * again["compile"]
    assert longer["prefill"] < 0.5 * longer["compile"]
    assert min(again[key] for key in ("load", "video", "vision", "prefill", "decode")) > 0


# --- the inputs ---------------------------------------------------------------------------------


def test_the_dumped_inputs_of_a_video(run, place):
    arrays = run.inputs()
    trace = run.traced().trace
    size = arrays["input_ids"].shape[1]
    forms = {name: (str(array.dtype), array.ndim) for name, array in arrays.items()}
    assert forms == {
        "input_ids": ("int32", 2), "position_ids": ("int32", 3), "next_position": ("int32", 0),
        "pixel_values_videos": ("float32", 2), "video_grid_thw": ("int32", 2),
        "second_per_grid_ts": ("float32", 1), "frame_indices": ("int32", 1), "frames": ("uint8", 4),
    }  # fmt: skip
    assert arrays["input_ids"].shape == (1, size) and arrays["position_ids"].shape == (3, 1, size)
    assert arrays["next_position"] == arrays["position_ids"].max() + 1
    (grid,) = arrays["video_grid_thw"].tolist()
    video = trace["videos"][0]
    assert (grid, video["path"]) == (video["grid_thw"], str(place / "clip.mp4"))
    assert arrays["frame_indices"].tolist() == video["frame_indices"]
    assert arrays["pixel_values_videos"].shape == (np.prod(grid), 1176)
    assert arrays["frames"].shape == (2 * grid[0], 14 * grid[1], 14 * grid[2], 3)
    np.testing.assert_array_equal(arrays["second_per_grid_ts"], np.float32([2 / video["fps"]]))
    np.testing.assert_allclose(
        patchify(arrays["frames"]).values, arrays["pixel_values_videos"], atol=1e-6
    )


def test_media_come_in_the_order_given(run, place, tokenizer):
    video, image = tokenizer.ids.video_pad, tokenizer.ids.image_pad
    flags = {video: ("--video", place / "clip.mp4"), image: ("--image", place / "picture.png")}
    for order in ([image, video], [video, image], [image, video, image]):
        arrays = run.inputs(*[part for kind in order for part in flags[kind]])
        ids = arrays["input_ids"][0]
        starts = np.flatnonzero(ids == tokenizer.ids.vision_start)
        assert ids[starts + 1].tolist() == order
        images = arrays["image_grid_thw"]
        assert len(images) == order.count(image)
        assert arrays["pixel_values"].shape == (np.prod(images, axis=1).sum(), 1176)
        assert (ids == image).sum() == np.prod(images, axis=1).sum() // 4


def test_several_videos_keep_their_own_frames(run, place):
    arrays = run.inputs("--video", place / "other.mp4", "--video", place / "clip.mp4")
    alone = run.inputs()
    assert arrays["video_grid_thw"].shape == (2, 3) and arrays["second_per_grid_ts"].shape == (2,)
    np.testing.assert_array_equal(arrays["frames_1"], alone["frames"])
    assert arrays["frames"].shape != alone["frames"].shape
    trace = run.traced("--video", place / "other.mp4", "--video", place / "clip.mp4").trace
    assert [video["path"][-9:] for video in trace["videos"]] == ["other.mp4", "/clip.mp4"]


def test_no_video_means_none_and_an_image_stands_beside_the_embedded_clip(run, place):
    assert set(run.inputs("--no-video")) == {"input_ids", "position_ids", "next_position"}
    assert "video_grid_thw" not in run.inputs("--no-video", "--image", place / "picture.png")
    assert "video_grid_thw" in run.inputs("--image", place / "picture.png")


def test_fps_is_the_rate_of_a_folder_of_frames(run, place):
    for flags, fps in (((), 2.0), (("--fps", 3), 3.0)):
        arrays = run.inputs("--video", place / "frames", *flags)
        seconds = 2 / (len(arrays["frames"]) / 6 * fps)
        np.testing.assert_allclose(arrays["second_per_grid_ts"], [seconds], rtol=1e-6)


def test_the_prompt_goes_in_verbatim(run, tokenizer):
    text = "  two\n\nlines, Ünïcode \t{question} %s "
    ids = run.inputs("--no-video", "--prompt", text)["input_ids"][0]
    shown = tokenizer.decode(ids, skip_special_tokens=False)
    assert f"<|im_start|>user\n{text}<|im_end|>" in shown


def test_the_text_of_added_tokens_is_taken_as_text(run, tokenizer):
    plain = run.inputs("--no-video")["input_ids"][0]
    added = list(tokenizer.added_tokens.values())
    ids = run.inputs("--no-video", "--prompt", "".join(ADDED_TOKENS))["input_ids"][0]
    assert np.isin(ids, added).sum() == np.isin(plain, added).sum()
    assert "".join(ADDED_TOKENS) in tokenizer.decode(ids, skip_special_tokens=False)


def test_a_template_wraps_the_question(run, tmp_path, tokenizer):
    (tmp_path / "wrap.txt").write_text("Think.\n{question}\nSay <answer>.\n")
    flags = "--no-video", "--set", f"prompt.template={tmp_path / 'wrap.txt'}"
    shown = tokenizer.decode(run.inputs(*flags)["input_ids"][0], skip_special_tokens=False)
    assert f"user\nThink.\n{QUESTION}\nSay <answer>.<|im_end|>" in shown


def test_the_position_rule_moves_what_follows_the_video(run, place):
    # Frames so far apart that the video is longer in time than wide.
    flags = "--video", place / "frames", "--fps", 0.2
    by_rule = {
        rule: run.inputs(*flags, "--set", f"model.position_rule={rule}") for rule in ("max", "hf5")
    }
    np.testing.assert_array_equal(by_rule["max"]["input_ids"], by_rule["hf5"]["input_ids"])
    last = {rule: arrays["position_ids"][:, 0, -1] for rule, arrays in by_rule.items()}
    assert (last["max"] != last["hf5"]).all()


# --- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), {"controller.objective": "switch", "prune.fraction": 0.0, "model.dtype": None}),
        (("--baseline",), {"controller.objective": "none"}),
        (("--lite",), {"controller.objective": "switch", "prune.fraction": 0.5}),
        (("--config", "baseline"), {"controller.objective": "none"}),
        (("--config", "lite"), {"prune.fraction": 0.5}),
        (("--max-new-tokens", 7), {"sampling.max_new_tokens": 7}),
        (("--num-frames", 6), {"video.num_frames": 6}),
        (("--num-frames", 6, "--set", "video.num_frames=none"), {"video.num_frames": None}),
        (("--seed", 7), {"sampling.seed": 7}),
        (("--dtype", "bfloat16"), {"model.dtype": "bfloat16"}),
        (("--set", "controller.learning_rate=1"), {"controller.learning_rate": 1.0}),
        (("--set", "controller.norm=tensor"), {"controller.norm": "tensor"}),
        (("--set", 'controller.norm = "none"'), {"controller.norm": "none"}),
        (("--set", "controller.objective=none"), {"controller.objective": "none"}),
        (("--set", "controller.resample_after_update=true"),
         {"controller.resample_after_update": True}),
        # --set is the last word, and of two the later.
        (("--baseline", "--set", "controller.objective=min"), {"controller.objective": "min"}),
        (("--set", "controller.every=8", "--set", "controller.every=2"), {"controller.every": 2}),
    ],
)  # fmt: skip
def test_a_flag_changes_its_keys(run, flags, expected):
    config = run.config(*flags).to_dict()
    for key, value in expected.items():
        section, name = key.split(".")
        assert config[section][name] == value
        assert type(config[section][name]) is type(value)


def test_a_config_file_is_overridden_by_set(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[controller]\nevery = 3\nema_decay = 0.5\n[video]\nnum_frames = 4\n")
    config = run.config("--config", file, "--set", "controller.every=2")
    assert (config.controller.every, config.controller.ema_decay) == (2, 0.5)
    assert config.video.num_frames == 4


def test_a_folder_named_like_a_config_does_not_hide_it(run, tmp_path, monkeypatch):
    (tmp_path / "lite").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run.config("--config", "lite").prune.fraction == 0.5


def test_the_trace_records_the_config_with_what_was_left_open(run):
    config = run.traced("--set", "controller.every=3").trace["config"]
    expected = run.config("--set", "controller.every=3").to_dict()
    expected["model"]["dtype"] = "float32"
    expected["video"] |= {"min_pixels": 784, "max_pixels": 4 * 784}  # the checkpoint's
    assert config == expected
    assert run.traced("--dtype", "bfloat16").trace["config"]["model"]["dtype"] == "bfloat16"


def test_pixel_limits_given_by_set_go_before_the_checkpoints(run):
    small = run.traced("--set", "video.max_pixels=784").trace
    assert small["config"]["video"]["max_pixels"] == 784
    assert small["tokens"]["video"] < run.traced().trace["tokens"]["video"]


def test_the_number_of_frames_is_the_flags(run):
    for frames in (4, 8):
        (video,) = run.traced("--num-frames", frames, "--max-new-tokens", 1).trace["videos"]
        assert len(video["frame_indices"]) == frames


def test_baseline_has_no_alpha_no_update_and_no_delta(run):
    trace = run.traced("--baseline").trace
    for key in ("alpha", "updated", "grad_norm", "delta_norm"):
        assert not any(trace[key])
    assert trace["ema"][-1] > 0 and trace["warnings"] == []


def test_lite_halves_the_video_and_answers_otherwise(run):
    full, lite = run.traced().trace, run.traced("--lite").trace
    assert full["tokens"] == lite["tokens"]
    assert full["logprob"][0] == lite["logprob"][0]  # prefill comes before pruning
    assert full["logprob"][1:] != lite["logprob"][1:]


def test_a_seed_decides_what_is_sampled(run):
    def ids(seed):
        return run.traced("--set", "sampling.temperature=1", "--seed", seed).trace["token_ids"]

    assert ids(1) == ids(1) != ids(2)


@pytest.mark.parametrize("mesh", ["data=1,model=2", "data=2", "model=1"])
def test_a_mesh_changes_where_and_not_what(run, mesh):
    alone, spread = run.traced("--mesh", "data=1,model=1").trace, run.traced("--mesh", mesh).trace
    assert spread["token_ids"] == alone["token_ids"]
    for key in ("logprob", "entropy", "delta_norm"):
        np.testing.assert_allclose(spread[key], alone[key], rtol=1e-4, atol=1e-4)


def test_the_plot_is_a_picture(run, tmp_path):
    pytest.importorskip("matplotlib", reason="the plots extra is not installed")
    assert run("--plot", tmp_path / "plot.png").code == 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


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
                 "--mesh"):  # fmt: skip
        assert flag in shown
