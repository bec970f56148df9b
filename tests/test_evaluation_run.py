"""The loop over real files: bad videos get a status, and what can be shared is read once."""

import json
import logging
import os
import shutil

import benchmark_files
import pytest
from evaluate_runs import Runner, answers, lines

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.errors import UserError
from vreason_jax.evaluation.scoring import protocol as protocol_lib

BAD = {
    "missing": "missing_video",
    "empty": "undecodable_video",
    "truncated": "undecodable_video",
    "words": "undecodable_video",
    "endless": "undecodable_video",
}


@pytest.fixture
def run(capsys, monkeypatch, place):
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    return Runner(place, capsys)


def row(number, video):
    return {
        "problem_id": number,
        "problem": f"Which is number {number}?",
        "data_type": "video",
        "problem_type": "multiple choice",
        "options": ["A. this", "B. that"],
        "solution": "<answer>A</answer>",
        "path": f"./Evaluation/MMVU/videos/{video}.mp4",
        "data_source": "MMVU",
    }


@pytest.fixture
def data(tmp_path, place):
    """Two questions about one good clip, and one about each bad one between them."""
    folder = tmp_path / "data" / "Evaluation" / "MMVU" / "videos"
    folder.mkdir(parents=True)
    shutil.copy(place / "clip.mp4", folder / "good.mp4")
    (folder / "empty.mp4").touch()
    whole = (place / "clip.mp4").read_bytes()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "words.mp4").write_text("not a video\n" * 50)
    os.mkfifo(folder / "endless.mp4")  # opening it waits for a writer that never comes
    rows = [row(n, video) for n, video in enumerate(("good", *BAD, "good"))]
    (tmp_path / "data" / "eval_mmvu.json").write_text(json.dumps(rows))
    return tmp_path / "data"


def flags(data, out, *others):
    return "--benchmark", "mmvu", "--data", data, "--out", out, "--limit", 7, *others


def test_bad_videos_get_a_status_and_what_can_be_shared_is_read_once(run, data, tmp_path):
    methods = "--methods", "baseline,vreason,min,max", "--seeds", "0,1,2"
    chance = "--set", "sampling.temperature=1.0", "--set", "video.timeout_seconds=8"
    ended = run(*flags(data, tmp_path / "out", *methods, *chance))
    assert ended.code == 0, ended.err
    found = answers(tmp_path / "out")
    assert len(found) == 7 * 4 * 3
    by_video = {}
    for line in found.values():
        by_video.setdefault(os.path.basename(line["video"]), set()).add(line["status"])
    statuses = {name: by_video[f"{name}.mp4"] for name in BAD}
    assert statuses == {name: {status} for name, status in BAD.items()}
    assert f"warning: undecodable_video: {data}/Evaluation/MMVU/videos/empty.mp4: " in ended.err
    assert by_video["good.mp4"] <= {"ok", "truncated", "no_answer"}
    assert "1 vision passes, 1 clips read, 2 questions read, 24 answers" in ended.err
    good = [line for line in found.values() if line["video"].endswith("good.mp4")]
    for question in {line["id"] for line in good}:
        texts = [line["text"] for line in good if line["id"] == question]
        assert len(set(texts)) >= 3  # seeds differ
    failed = [line for line in lines(tmp_path / "out") if line["status"] in BAD.values()]
    assert {(line["text"], line["answer"], line["score"], line["trace"]) for line in failed} == {
        ("", None, 0.0, None)
    }


def test_videos_that_failed_are_tried_again_on_demand(run, data, place, tmp_path):
    rows = json.loads((data / "eval_mmvu.json").read_text())[:2]
    (data / "eval_mmvu.json").write_text(json.dumps(rows))
    given = flags(data, tmp_path / "out", "--methods", "baseline")
    assert run(*given).code == 0
    assert [line["status"] for line in lines(tmp_path / "out")].count("missing_video") == 1
    shutil.copy(place / "clip.mp4", data / "Evaluation" / "MMVU" / "videos" / "missing.mp4")
    ended = run(*given)
    assert "nothing to do" in ended.err
    assert run(*given, "--retry-failed").code == 0
    statuses = [line["status"] for line in lines(tmp_path / "out")]
    assert len(statuses) == 2 and "missing_video" not in statuses


@pytest.mark.parametrize("shown", [False, True])
def test_a_run_asks_with_the_lines_said_at_its_frames_on_demand(run, tmp_path, monkeypatch, shown):
    data = benchmark_files.videomme(tmp_path / "data")
    (data / "subtitle" / "aB-1.srt").write_text(
        "00:00:00,000 --> 00:00:00,400\n<i>Here</i> it is.\n\n"
        "00:00:00,450 --> 00:00:00,550\nbetween two frames\n\n"
        "00:00:09,000 --> 00:00:11,000\nlong after\n"
    )
    protocol = (protocol_lib.FOLDER / "official.toml").read_text()
    assert "\nsubtitles = false" in protocol
    if shown:
        protocol = protocol.replace("\nsubtitles = false", "\nsubtitles = true")
    (tmp_path / "mine.toml").write_text(protocol)
    asked, ask = [], Checkpoint.ask

    def listen(self, media, question, run):
        prepared = ask(self, media, question, run)
        asked.append(self.tokenizer.decode(prepared.prompt.token_ids))
        raise UserError("stopped here")  # what comes of the prompt is the same as ever

    monkeypatch.setattr(Checkpoint, "ask", listen)
    given = "--benchmark", "videomme", "--data", data, "--protocol", tmp_path / "mine.toml"
    small = "--set", "video.min_pixels=784", "--set", "video.max_pixels=3136"
    ended = run(*given, *small, "--out", tmp_path / "out", "--limit", 1)
    assert "001-1: stopped here" in ended.err.splitlines()[-1]
    (prompt,) = asked
    words = "What is said at the moments shown:\nHere it is.\nWhat is written?\nA. One."
    assert (words in prompt) is shown and "What is written?\nA. One." in prompt
    assert "between two frames" not in prompt and "long after" not in prompt


def test_check_lists_bad_videos_before_any_model_is_looked_at(run, data, tmp_path):
    given = flags(data, tmp_path / "out", "--check", "--set", "video.timeout_seconds=8")
    ended = run(*given, "--model", tmp_path / "no model")
    assert ended.code == 2
    assert "5 videos are missing or unreadable, those of 5 of 7 questions" in ended.err
    for name, status in BAD.items():
        assert f"{status}: " in ended.out and f"{name}.mp4 (1 question)" in ended.out
    assert not (tmp_path / "out").exists()


def test_check_of_shapes_has_nothing_to_find(run):
    ended = run("--check")
    assert (ended.code, ended.out) == (0, "")
    assert "all videos of 4 questions can be read" in ended.err
