"""`evaluate` end to end on the tiny checkpoint: what it prints, and what it writes."""

import json
import logging
import shutil

import numpy as np
import pytest
from evaluate_runs import Runner, answers, lines
from safetensors.numpy import load_file, save_file

from vreason_jax.output.trace import TOKEN_KEYS
from vreason_jax.shapes import sample

KEYS = [
    "id", "benchmark", "model", "method", "seed", "status", "text", "answer", "gold", "score",
    "score_lenient", "tokens", "seconds", "config_hash", "task", "subset", "video", "kind",
    "answer_probability", "trace", "entropy",
]  # fmt: skip


@pytest.fixture
def run(capsys, monkeypatch, place):
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    return Runner(place, capsys)


def test_a_run_leaves_lines_traces_a_summary_and_a_report(run, tmp_path):
    ended = run("--out", tmp_path, "--seeds", "3,4")
    assert (ended.code, ended.out) == (0, ""), ended.err
    found = answers(tmp_path)
    assert len(found) == 8
    assert {key[1:] for key in found} == {("baseline", 3), ("vreason", 3)}
    assert "warning: at temperature 0 only seed 3 runs: baseline, vreason" in ended.err
    assert "4 questions, 2 answers to each, 8 to be given" in ended.err
    assert "] 8/8 answers, " in ended.err
    assert "waited for videos " in ended.err
    for line in lines(tmp_path):
        compared = ["changed"] if line["method"] == "vreason" else []
        assert sorted(line) == sorted([*KEYS, *compared])
        assert line["benchmark"] == "shapes" and line["model"] == "model"
        assert list(line["seconds"]) == ["video", "vision", "prefill", "decode"]
        assert all(seconds > 0 for seconds in line["seconds"].values())
        with np.load(tmp_path / "traces" / line["trace"], allow_pickle=False) as trace:
            assert sorted(trace) == sorted(TOKEN_KEYS)
            assert {len(trace[key]) for key in TOKEN_KEYS} == {line["tokens"]}
    assert json.loads((tmp_path / "summary.json").read_text())
    assert (tmp_path / "report.html").read_text().lstrip().startswith("<")


def test_run_json_tells_what_was_run_and_what_it_took(run, tmp_path):
    assert run("--out", tmp_path, "--limit", 2).code == 0
    facts = json.loads((tmp_path / "run.json").read_text())
    assert {"benchmark", "protocol", "model", "methods", "seeds", "notes", "versions"} <= set(facts)
    assert facts["methods"]["vreason"]["controller"]["every"] == 4
    (session,) = facts["sessions"]
    seconds = session["seconds"]
    assert {"compile", "video", "video_wait", "vision", "prefill", "decode"} <= set(seconds)
    assert set(seconds["decode"]) == set(session["controller_share"]) == {"baseline", "vreason"}
    assert session["controller_share"]["baseline"] is None
    assert isinstance(session["controller_share"]["vreason"], float)
    assert session["mesh"] == {"data": 1, "model": 1} and session["batch_size"] == 2
    counts = session["counts"]
    assert [counts[name] for name in ("vision", "clip_prefill", "question_prefill")] == [2, 2, 2]
    assert counts["answers"] == 4
    assert 0 < counts["prompt_tokens"] < counts["prompt_slots"]
    assert 0 < counts["vision_patches"] < counts["vision_slots"]
    assert set(session["programs"]) == {"compiled", "from_cache"}


def test_a_warm_up_is_given_all_methods_and_the_longest_question(run, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("vreason_jax.engine.warm_up.warm_up", lambda *given: asked.append(given))
    assert run("--out", tmp_path, "--limit", 2, "--warmup").code == 0
    (engine, runs, limits, say), *others = asked
    assert not others and callable(say) and engine.batch_size == 2
    assert [one.controller.objective for one in runs] == ["none", "switch"]
    encode = engine.checkpoint.tokenizer.encode_text
    longest = max(len(encode(sample("test", index).question)) for index in range(2))
    assert limits.behind > longest and limits.frames == 16


def test_weights_that_are_not_finite_end_the_answer_they_meet_and_leave_no_nan(
    run, place, undisturbed, tmp_path
):
    whole = lines(undisturbed)[0]
    with np.load(undisturbed / "traces" / whole["trace"], allow_pickle=False) as trace:
        tokens = trace["token_ids"]
    model, name = tmp_path / "model", "model.embed_tokens.weight"
    shutil.copytree(place / "model", model)
    weights = load_file(model / "model.safetensors")
    weights[name][tokens[3]] = np.nan  # no token of the prompt: met when it is fed back
    save_file(weights, model / "model.safetensors")
    ended = run("--out", tmp_path / "out", "--model", model, "--limit", 1)
    assert ended.code == 0, ended.err
    for line in lines(tmp_path / "out"):
        assert (line["id"], line["status"], line["tokens"]) == (whole["id"], "not_finite", 5)
        assert whole["text"].startswith(line["text"]) and line["text"]
    for file in ("report.html", "summary.json", "predictions.jsonl"):
        assert "nan" not in (tmp_path / "out" / file).read_text().lower()


def test_neither_batches_nor_devices_change_answers(run, tmp_path):
    ways = {"plain": (), "one": ("--batch-size", 1), "four": ("--mesh", "data=2,model=2")}
    for name, flags in ways.items():
        ended = run("--out", tmp_path / name, "--limit", 3, *flags)
        assert ended.code == 0, ended.err
    plain, *others = (answers(tmp_path / name) for name in ways)
    for other in others:
        assert other.keys() == plain.keys()
        assert all(other[key]["text"] == line["text"] for key, line in plain.items())


def test_an_experiment_runs_by_its_name(run, tmp_path):
    ended = run("--out", tmp_path, "--limit", 1, "--experiment", "periods")
    assert ended.code == 0, ended.err
    methods = [line["method"] for line in lines(tmp_path)]
    assert methods == ["baseline", "k1", "k2", "k4", "k8", "k16"]
