"""A run that a signal ends says how to go on, keeps what is finished, and leaves no process."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from evaluate_runs import FLAGS, QUESTIONS, answers, end_of, lines, start

LAST = re.compile(r"stopped; (\d+) of (\d+) answers; the same command goes on")


def signalled(process, ready, number):
    """Sends a signal once `ready()`; returns how the process ended, and after how long."""
    while process.poll() is None and not ready():
        time.sleep(0.002)
    assert process.poll() is None, "it ended before the signal"
    began = time.monotonic()
    process.send_signal(number)
    return end_of(process, 30), time.monotonic() - began


def count(folder: Path) -> int:
    file = folder / "predictions.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_after_each_signal_the_same_command_goes_on_to_the_lines_of_an_undisturbed_run(
    place, tmp_path, undisturbed
):
    for number, code, seconds in ((signal.SIGINT, 130, 5), (signal.SIGTERM, 75, 10)):
        there = count(tmp_path)
        process = start(place, "--out", tmp_path, *FLAGS)
        ended, took = signalled(process, lambda there=there: count(tmp_path) > there, number)
        assert ended.code == code and took < seconds
        told = LAST.fullmatch(ended.err.splitlines()[-1])
        assert told and tuple(map(int, told.groups())) == (len(lines(tmp_path)), 2 * QUESTIONS)
        assert "Traceback" not in ended.err
        assert len(lines(tmp_path)) % 2 == 0  # groups of two questions, each whole
        methods = json.loads((tmp_path / "summary.json").read_text())["methods"]
        assert sum(method["answers"] for method in methods.values()) == len(lines(tmp_path))
    assert end_of(start(place, "--out", tmp_path, *FLAGS), 600).code == 0
    assert answers(tmp_path) == answers(undisturbed)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGKILL, -9)]
)
def test_no_signal_leaves_a_decoder_behind(place, tmp_path, number, code):
    data = tmp_path / "data"
    data.mkdir()
    os.mkfifo(data / "0.mp4")  # stands for a file on which a reader hangs
    question = {
        "problem_id": 1,
        "problem": "What?",
        "data_type": "video",
        "problem_type": "multiple choice",
        "options": ["A. a", "B. b"],
        "solution": "<answer>A</answer>",
        "path": "./0.mp4",
    }
    (data / "eval_mmvu.json").write_text(json.dumps([question]))
    process = start(place, "--benchmark", "mmvu", "--data", data, "--out", tmp_path / "out")
    decoders: list[int] = []

    def decoding():
        decoders[:] = [pid for pid in children(process.pid) if "worker" in command(pid)]
        return decoders

    ended, _ = signalled(process, decoding, number)
    assert ended.code == code and "Traceback" not in ended.err
    until = time.monotonic() + 5
    while any("worker" in command(pid) for pid in decoders):
        assert time.monotonic() < until, "a decoder is left behind"
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
