"""A run that was killed, or ran out of disk, goes on as if nothing had happened."""

import json
import logging
import random
import shutil
import signal
import time

import pytest
from evaluate_runs import FLAGS, QUESTIONS, Runner, answers, end_of, lines, start

from vreason_jax.errors import UserError
from vreason_jax.evaluation.results import writing


@pytest.fixture
def run(capsys, monkeypatch, place):
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    return Runner(place, capsys)


def killed_after(place, folder, count, rng):
    """Starts the run and kills it a random while after it has written `count` lines."""
    process = start(place, "--out", folder, *FLAGS)
    file = folder / "predictions.jsonl"
    while process.poll() is None:
        if file.exists() and file.read_bytes().count(b"\n") >= count:
            time.sleep(rng.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.communicate()


def test_kills_lose_no_line_and_repeat_none(place, tmp_path, undisturbed):
    rng, written = random.Random(0), []
    for count in (1, 5):
        killed_after(place, tmp_path, count, rng)
        written.append(len(lines(tmp_path)))
    with (tmp_path / "predictions.jsonl").open("a") as file:
        file.write('{"id": "test-0000')
    ended = end_of(start(place, "--out", tmp_path, *FLAGS), 600)
    assert ended.code == 0, ended.err
    assert answers(tmp_path) == answers(undisturbed)
    assert 1 <= written[0] <= written[1] < 2 * QUESTIONS
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == list(json.loads((undisturbed / "summary.json").read_text()))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_run_that_is_done_loads_nothing(run, undisturbed, monkeypatch):
    before = lines(undisturbed)
    monkeypatch.delattr("vreason_jax.engine.engine.load_model")
    ended = run("--out", undisturbed, *FLAGS)
    assert ended.code == 0, ended.err
    assert f"nothing to do: all answers are in {undisturbed}" in ended.err
    assert lines(undisturbed) == before


def test_more_questions_and_methods_and_another_batch_or_mesh_go_on(run, tmp_path):
    steps = [
        ("--limit", 1, "--methods", "baseline", "--batch-size", 1),
        ("--limit", 3, "--methods", "baseline", "--mesh", "data=2,model=2"),
        ("--limit", 3, "--methods", "vreason,baseline"),
    ]
    kept = []
    for flags in steps:
        ended = run("--out", tmp_path, *flags)
        assert ended.code == 0, ended.err
        assert lines(tmp_path)[: len(kept)] == kept
        kept = lines(tmp_path)
    assert len(answers(tmp_path)) == 6
    facts = json.loads((tmp_path / "run.json").read_text())
    assert list(facts["methods"]) == ["baseline", "vreason"]
    assert [session["batch_size"] for session in facts["sessions"]] == [1, 2, 2]
    assert [session["mesh"]["model"] for session in facts["sessions"]] == [1, 2, 1]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--set", "controller.every=8"), "vreason: controller.every: 4 there, 8 here"),
        (("--set", "model.dtype=bfloat16"), "dtype: 'float32' there, 'bfloat16' here"),
        (("--protocol", "video_r1"), "protocol.name: 'shapes' there, 'video_r1' here"),
    ],
)
def test_what_would_change_answers_is_refused_by_name(run, undisturbed, flags, expected):
    before = (undisturbed / "predictions.jsonl").read_bytes()
    ended = run("--out", undisturbed, *FLAGS, *flags)
    assert ended.code == 2
    assert expected in ended.err.splitlines()[-1]
    assert (undisturbed / "predictions.jsonl").read_bytes() == before


def test_a_question_that_has_changed_is_refused_by_its_id(run, undisturbed, tmp_path):
    folder = shutil.copytree(undisturbed, tmp_path / "out")
    file = folder / "questions.jsonl"
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert [row["id"] for row in rows] == list(dict.fromkeys(li["id"] for li in lines(folder)))
    rows[1]["problem"] += " Or not?"  # as if the annotation had said so then
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = run("--out", folder, *FLAGS)
    assert ended.code == 2
    expected = f"question {rows[1]['id']!r} has answers there and has changed since (problem)"
    assert expected in ended.err.splitlines()[-1]


@pytest.mark.parametrize("place_of_failure", ["line", "trace"])
def test_a_full_disk_ends_the_run_and_loses_nothing(
    run, undisturbed, tmp_path, monkeypatch, place_of_failure
):
    """The third answer finds the disk full: no room for its line, or for its trace."""
    count = 0

    def full(*_):
        nonlocal count
        count += 1
        if count == 3:
            raise UserError("cannot write: No space left on device")

    with monkeypatch.context() as patch:
        name = "_write_trace" if place_of_failure == "trace" else "trace_name"
        original = getattr(writing, name)
        patch.setattr(writing, name, lambda *a: (full(), original(*a))[1])
        ended = run("--out", tmp_path, *FLAGS)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].endswith("No space left on device")
    assert len(lines(tmp_path)) == 2
    assert run("--out", tmp_path, *FLAGS).code == 0
    texts, expected = (
        {key: line["text"] for key, line in answers(f).items()} for f in (tmp_path, undisturbed)
    )
    assert texts == expected
