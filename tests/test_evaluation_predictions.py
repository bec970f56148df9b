"""Lines are whole or not there: after kills, on a full disk, from several processes."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.errors import UserError
from vreason_jax.evaluation.results.predictions import Key, LineFile, Predictions

ROOT = Path(__file__).parent.parent


def line(number=0, status="ok", **fields):
    key = {"id": f"q{number}", "method": "vreason", "seed": 0, "config_hash": "abc"}
    return {**key, "status": status, "text": "where \udcff? \u20ac", **fields}


def key(number=0):
    return Key(f"q{number}", "vreason", 0, "abc")


@pytest.fixture
def folder(tmp_path):
    predictions = Predictions(tmp_path)
    for number in range(3):
        predictions.add(line(number))
    predictions.file.close()
    return tmp_path


@pytest.fixture
def file(folder):
    return folder / "predictions.jsonl"


def test_what_was_added_is_done(folder, file):
    assert Predictions(folder).done == {key(0), key(1), key(2)}
    assert [json.loads(text) for text in file.read_text().splitlines()] == [
        line(number) for number in range(3)
    ]


def test_nothing_is_written_before_the_first_line(tmp_path):
    assert Predictions(tmp_path).done == set()
    assert os.listdir(tmp_path) == []


TEXTS = st.lists(st.text(), max_size=5)


# No whole line: a part of one, or the zeros that a crash of the machine leaves in its place.
TAILS = st.binary(max_size=20).filter(lambda tail: b"\n" not in tail) | st.integers(1, 50).map(
    lambda size: bytes(size) + b"\n"
)


@given(TEXTS, st.floats(0, 1), TAILS)
def test_resuming_after_any_cut_leaves_the_file_of_an_undisturbed_run(texts, share, tail):
    """The file is cut at any byte, or ends in bytes that are no line, as a crash leaves them."""
    lines = [line(number, text=text) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        whole = written(Path(folder), lines)
        part = whole[: round(share * len(whole))]
        kept = part.count(b"\n")
        (Path(folder) / "predictions.jsonl").write_bytes(part + tail)
        predictions = Predictions(Path(folder))
        assert predictions.done == {key(number) for number in range(kept)}
        assert written(Path(folder), lines[kept:]) == whole


def written(folder: Path, lines) -> bytes:
    """Adds the lines and returns what the file then holds."""
    predictions = Predictions(folder)
    for each in lines:
        predictions.add(each)
    predictions.file.close()
    file = folder / "predictions.jsonl"
    return file.read_bytes() if file.exists() else b""


def test_zeros_in_place_of_the_last_line_are_cut_off(folder, file):
    whole = file.read_bytes()
    file.write_bytes(whole + bytes(100) + b"\n")
    assert Predictions(folder).done == {key(0), key(1), key(2)}
    assert file.read_bytes() == whole


def test_a_file_of_something_else_is_refused_and_stays(folder, file):
    text = b"notes\n" + file.read_bytes()
    file.write_bytes(text)
    with pytest.raises(UserError, match=r"predictions\.jsonl:1: expected a JSON object a line"):
        Predictions(folder)
    file.write_bytes(b'{"id": "q"}\n')
    with pytest.raises(UserError, match="one has no 'method'"):
        Predictions(folder)


def test_video_failures_are_taken_out_to_be_tried_again(folder, file):
    predictions = Predictions(folder)
    predictions.add(line(3, "missing_video"))
    predictions.add(line(4, "undecodable_video"))
    predictions.add(line(5, "truncated"))
    assert Predictions(folder).failed == {"q3", "q4"}
    again = Predictions(folder, retry_failed=True)
    assert again.done == {key(number) for number in (0, 1, 2, 5)}
    assert again.failed == set()
    again.add(line(3))
    ids = [json.loads(text)["id"] for text in file.read_text().splitlines()]
    assert ids == ["q0", "q1", "q2", "q5", "q3"]


def test_a_disk_that_takes_only_a_part_of_a_line_keeps_nothing_of_it(folder, file):
    """RLIMIT_FSIZE stands for a full disk: the system takes what fits, and refuses the rest."""
    size = file.stat().st_size
    script = f"""
import resource, sys
from pathlib import Path
from vreason_jax.errors import UserError
from vreason_jax.evaluation.results.predictions import Predictions
predictions = Predictions(Path({str(folder)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({size} + 20, resource.RLIM_INFINITY))
try:
    predictions.add({line(3)!r})
except UserError as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "cannot write" in ended.stdout and "File too large" in ended.stdout
    assert file.stat().st_size == size
    assert Predictions(folder).done == {key(0), key(1), key(2)}


def test_a_full_disk_is_told_in_one_line(folder, file, monkeypatch):
    predictions, before = Predictions(folder), file.read_bytes()

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match="No space left on device; mend that and run the same"):
        predictions.add(line(3))
    assert file.read_bytes() == before
    assert key(3) not in predictions.done


def test_processes_share_a_file_without_mixing_their_lines(tmp_path):
    script = """
import sys
from pathlib import Path
from vreason_jax.evaluation.results.predictions import LineFile
file = LineFile(Path(sys.argv[1]) / "lines.jsonl")
for number in range(200):
    file.append({"process": sys.argv[2], "number": number, "text": "x" * 5000})
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)], cwd=ROOT)
        for n in range(2)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    lines = LineFile(tmp_path / "lines.jsonl").read()
    for process in ("0", "1"):
        numbers = [each["number"] for each in lines if each["process"] == process]
        assert numbers == list(range(200))
