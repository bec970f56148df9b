"""Lines are whole or not there: after kills, on a full disk, from several processes."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from evaluation_samples import sample_line
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.results.line_file import LineFile
from vreason_jax.evaluation.results.lines import Line, fields_of
from vreason_jax.evaluation.results.run_folder import Key, RunFolder, State
from vreason_jax.evaluation.results.status import status_of

ROOT = Path(__file__).parent.parent
FACTS = {"methods": {}, "seeds": [0]}


RECORDS = [
    Record(f"q{n:05d}", "shapes", "a.mp4", "Which?", ("A. x", "B. y"), "A", CHOICE, "t")
    for n in range(3)
]


def line(number=0, status="ok", **fields):
    return Line(**sample_line(number, status=status, **{"text": "where \udcff? \u20ac", **fields}))


def key(number=0, method="baseline"):
    return Key(f"q{number:05d}", method, 0, f"hash of {method}")


def opened(path, **settings):
    folder = RunFolder(path)
    folder.read(**settings)
    return folder


def done(path, **settings):
    """The numbers of the questions that have an answer."""
    folder = opened(path, **settings)
    return {number for number in range(10) if folder.state(key(number)) is State.DONE}


@pytest.fixture
def folder(tmp_path):
    opened(tmp_path).add([line(number) for number in range(3)])
    return tmp_path


@pytest.fixture
def file(folder):
    return folder / "predictions.jsonl"


def test_what_was_added_is_done(folder, file):
    assert done(folder) == {0, 1, 2}
    assert [json.loads(text) for text in file.read_text().splitlines()] == [
        fields_of(line(number)) for number in range(3)
    ]


def test_nothing_is_written_before_the_first_line(tmp_path):
    assert done(tmp_path) == set()
    assert sorted(os.listdir(tmp_path)) == ["frames", "traces"]


TEXTS = st.lists(st.text(), max_size=5)


# No whole line: a part of one, or the zeros that a crash of the machine leaves in its place.
TAILS = st.binary(max_size=20).filter(lambda tail: b"\n" not in tail) | st.integers(1, 50).map(
    lambda size: bytes(size) + b"\n"
)


@given(TEXTS, st.floats(0, 1), TAILS)
def test_resuming_after_any_cut_leaves_the_file_of_an_undisturbed_run(texts, share, tail):
    """The file is cut at any byte, or ends in bytes that are no line, as a crash leaves them."""
    lines = [line(number, text=text) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as place:
        whole = written(Path(place), lines)
        part = whole[: round(share * len(whole))]
        (Path(place) / "predictions.jsonl").write_bytes(part + tail)
        # A line that lacks no more than its line break is whole.
        expected = {n for n in range(len(lines)) if whole_there(part, tail, n)}
        assert done(Path(place)) == expected
        assert written(Path(place), lines) == whole


def whole_there(part: bytes, tail: bytes, number: int) -> bool:
    rows = (part + tail).split(b"\n")
    try:
        return json.loads(rows[number])["id"] == key(number).id
    except (IndexError, ValueError, TypeError):
        return False


def written(path: Path, lines) -> bytes:
    """Adds the lines and returns what the file then holds."""
    opened(path).add(lines)
    return (path / "predictions.jsonl").read_bytes()


def test_zeros_in_place_of_the_last_line_are_cut_off(folder, file):
    whole = file.read_bytes()
    file.write_bytes(whole + bytes(100) + b"\n")
    assert done(folder) == {0, 1, 2}
    assert file.read_bytes() == whole


def test_a_file_of_something_else_is_refused_and_stays(folder, file):
    text = b"notes\n" + file.read_bytes() + b"of mine"
    file.write_bytes(text)
    with pytest.raises(UserError, match=r"predictions\.jsonl, line 1: expected a JSON object"):
        opened(folder)
    assert file.read_bytes() == text
    file.write_bytes(b'{"id": "q"}\n')
    with pytest.raises(UserError, match="line 1: no answer, benchmark"):
        opened(folder)


def test_video_failures_are_of_the_question_and_are_taken_out_to_be_tried_again(folder, file):
    first = opened(folder)
    first.add([line(3, "missing_video"), line(4, "undecodable_video"), line(5, "truncated")])
    other = opened(folder)
    assert other.state(key(3)) is other.failure("q00003") is State.MISSING
    assert other.state(key(3, "vreason")) is State.TO_DO
    assert other.failure("q00004").status == "undecodable_video"
    assert other.failure("q00005") is State.TO_DO and other.state(key(5)) is State.DONE
    again = opened(folder, retry=[key(3), key(4)])
    assert [again.failure(key(n).id) for n in (3, 4)] == [State.TO_DO, State.TO_DO]
    again.add([line(3)])
    ids = [json.loads(text)["id"] for text in file.read_text().splitlines()]
    assert ids == [key(n).id for n in (0, 1, 2, 5, 3)]
    # The file has been replaced since; who held the old one goes on in the new one.
    first.add([line(3), line(6)])
    assert len(file.read_text().splitlines()) == 6 and done(folder) == {0, 1, 2, 3, 5, 6}


def test_only_what_a_run_asks_for_is_tried_again(folder, file):
    opened(folder).add([line(3, "missing_video"), line(4, "missing_video")])
    opened(folder).add([line(3, "missing_video", method="vreason")])
    again = opened(folder, retry=[key(3)])
    assert [again.state(k) for k in (key(3), key(4))] == [State.TO_DO, State.MISSING]
    assert again.state(key(3, "vreason")) is State.MISSING  # not asked for now
    assert again.failure(key(3).id) is State.TO_DO  # so that the video is looked at


def test_a_folder_has_the_lines_that_stand_in_it_alone(tmp_path):
    empty = opened(tmp_path)
    empty.share([key(1)], [], lambda values: values + (values == 0) * int(State.DONE))
    assert empty.state(key(1)) is State.DONE and not empty.has_lines()


def test_a_line_that_another_process_has_written_is_not_written_again(folder, file):
    one, two = opened(folder), opened(folder)
    one.add([line(3), line(4)])
    two.add([line(4, text="late"), line(5)])
    assert two.state(key(3)) is State.DONE  # seen as it wrote
    texts = [json.loads(text)["text"] for text in file.read_text().splitlines()]
    assert len(texts) == 6 and "late" not in texts


def test_a_disk_that_takes_only_a_part_of_a_line_keeps_nothing_of_it(folder, file):
    """RLIMIT_FSIZE stands for a full disk: the system takes what fits, and refuses the rest."""
    size = file.stat().st_size
    script = f"""
import resource, sys
from pathlib import Path
from vreason_jax.errors import UserError
from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.results.run_folder import RunFolder
folder = RunFolder(Path({str(folder)!r}))
folder.read()
resource.setrlimit(resource.RLIMIT_FSIZE, ({size} + 20, resource.RLIM_INFINITY))
try:
    folder.add([Line(**{sample_line(3)!r})])
except UserError as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "cannot write" in ended.stdout and "File too large" in ended.stdout
    assert file.stat().st_size == size
    assert done(folder) == {0, 1, 2}


def test_a_full_disk_is_told_in_one_line(folder, file, monkeypatch):
    mine, before = opened(folder), file.read_bytes()

    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match="No space left on device; mend that and run the same"):
        mine.add([line(3)])
    assert file.read_bytes() == before
    assert mine.state(key(3)) is State.TO_DO


def test_processes_share_a_file_without_mixing_their_lines(tmp_path):
    script = """
import sys
from pathlib import Path
from vreason_jax.evaluation.results.line_file import LineFile
file = LineFile(Path(sys.argv[1]) / "lines.jsonl", lambda value, *_: value)
for number in range(200):
    line = {"process": sys.argv[2], "number": number, "text": "x" * 5000}
    file.append(lambda new: [line])
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)], cwd=ROOT)
        for n in range(2)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    lines = LineFile(tmp_path / "lines.jsonl", lambda value, *_: value).new()
    for process in ("0", "1"):
        numbers = [each["number"] for each in lines if each["process"] == process]
        assert numbers == list(range(200))


def test_what_was_asked_of_a_folder_grows_by_what_an_added_method_is_to_give(folder, file):
    for asked, to_do in (([key(n) for n in range(3)], 0), ([key(0, "max"), key(1, "max")], 2)):
        opened(folder).begin(lambda former: FACTS, RECORDS, lambda record: "", "0/1", asked)
        assert status_of(folder).to_do == to_do


def test_lines_that_no_report_could_tell_apart_are_refused_before_any_is_added(folder, file):
    with pytest.raises(UserError, match="answers of baseline under other settings"):
        opened(folder, hashes={"baseline": "another"})
    opened(folder, hashes={"baseline": "hash of baseline", "vreason": "another"})
    file.write_bytes(file.read_bytes() + file.read_bytes())
    with pytest.raises(UserError, match="has two of baseline"):
        opened(folder)


def test_a_broken_line_is_named_by_its_place_when_failures_are_retried(folder, file):
    rows = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([rows[0], b"\n", b'{"id": "q"}\n', rows[1]]))
    with pytest.raises(UserError, match="line 3: no answer"):
        opened(folder, retry=[key(0)])
