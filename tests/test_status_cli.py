"""`status` counts what is done, failed and to do, of one folder or of several."""

import dataclasses
import json

import pytest
from evaluation_samples import sample_line, sample_run_facts, write_run

from vreason_jax import status
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.results.questions import keep_words
from vreason_jax.evaluation.results.workers import Worker

RECORD = Record("q", "shapes", "a.mp4", "Which?", ("A. x", "B. y"), "A", CHOICE, "t")


@pytest.fixture
def run(capsys):
    def call(*arguments):
        capsys.readouterr()
        code = status.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def folder(place, lines, asked, **facts):
    """A run with some lines; `asked` are the questions that it is to answer."""
    rows = [sample_line(number, status=each) for number, each in enumerate(lines)]
    write_run(place, rows, sample_run_facts(**facts))
    records = [dataclasses.replace(RECORD, id=f"q{number:05d}") for number in range(asked)]
    keep_words(place, records, (), None, {record.id: {"baseline": [0]} for record in records})
    return place


def test_answers_are_counted_by_state(tmp_path, run):
    place = folder(tmp_path / "a", ["ok", "truncated", "missing_video"], 10)
    code, out, _ = run(place)
    assert code == 0
    assert out == f"{place}: 2 done, 1 failed, 7 to do; 0 running, 0.0 a minute\n"


def test_those_at_work_give_the_rate_and_the_time_left(tmp_path, run):
    session = {"started": "now", "counts": {"answers": 20}, "seconds": {"wall": 60.0}}
    idle = {"started": "before", "counts": {"answers": 900}, "seconds": {"wall": 60.0}}
    place = folder(tmp_path / "a", ["ok"] * 2, 62, sessions=[session, idle])
    with Worker(place, "now"):
        code, out, _ = run(place, "--json")
    found = json.loads(out)
    assert code == 0 and found.pop("folders").keys() == {str(place)}
    assert found == {
        "done": 2,
        "failed": 0,
        "to_do": 60,
        "running": 1,
        "per_minute": 20.0,
        "total": 62,
        "seconds_left": 180.0,
    }


def test_folders_are_added_up(tmp_path, run):
    places = [
        folder(tmp_path / "0", ["ok"], 4),
        folder(tmp_path / "1", ["missing_video", "ok"], 5),
    ]
    *_, last = run(*places)[1].splitlines()
    assert last == "all: 2 done, 1 failed, 6 to do; 0 running, 0.0 a minute"


def test_a_folder_of_something_else_is_told_in_one_line(tmp_path, run):
    code, out, err = run(tmp_path)
    assert (code, out) == (2, "") and "expected a folder that" in err and err.count("\n") == 1


def test_one_that_is_about_to_begin_is_left_out_and_a_folder_counts_once(tmp_path, run):
    place = folder(tmp_path / "a", ["ok"], 2)
    (tmp_path / "b" / "traces").mkdir(parents=True)
    code, out, err = run(place, tmp_path / "a" / ".", tmp_path / "b")
    assert (code, out.count("\n")) == (0, 1) and err == f"{tmp_path / 'b'}: not begun\n"
    assert run(tmp_path / "b")[0] == 2


def test_each_method_is_to_answer_what_it_was_asked_whatever_the_others_were(tmp_path, run):
    place = folder(tmp_path / "a", ["ok"] * 2, 2)
    records = [dataclasses.replace(RECORD, id=f"q{number:05d}") for number in range(5)]
    keep_words(place, records, (), None, {record.id: {"min": [0, 1]} for record in records})
    assert ": 2 done, 0 failed, 10 to do;" in run(place)[1]
