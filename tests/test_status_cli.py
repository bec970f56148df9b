"""`status` counts what is done, failed and to do, of one folder or of several."""

import json

import pytest
from evaluation_samples import sample_line, sample_run_facts, write_run

from vreason_jax import status
from vreason_jax.evaluation.results.workers import Worker


@pytest.fixture
def run(capsys):
    def call(*arguments):
        capsys.readouterr()
        code = status.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def folder(place, lines, **facts):
    rows = [sample_line(number, status=each) for number, each in enumerate(lines)]
    return write_run(place, rows, sample_run_facts(**facts))


def test_answers_are_counted_by_state(tmp_path, run):
    place = folder(tmp_path / "a", ["ok", "truncated", "missing_video"], asked={"0/1": 10})
    code, out, _ = run(place)
    assert code == 0
    assert out == f"{place}: 2 done, 1 failed, 7 to do; 0 running, 0.0 a minute\n"


def test_those_at_work_give_the_rate_and_the_time_left(tmp_path, run):
    session = {"started": "now", "counts": {"answers": 20}, "seconds": {"wall": 60.0}}
    idle = {"started": "before", "counts": {"answers": 900}, "seconds": {"wall": 60.0}}
    shards = {"0/2": 30, "1/2": 32}
    place = folder(tmp_path / "a", ["ok"] * 2, asked=shards, sessions=[session, idle])
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
        folder(tmp_path / "0", ["ok"], asked={"0/2": 4}),
        folder(tmp_path / "1", ["missing_video", "ok"], asked={"1/2": 5}),
    ]
    *_, last = run(*places)[1].splitlines()
    assert last == "all: 2 done, 1 failed, 6 to do; 0 running, 0.0 a minute"


def test_a_folder_of_something_else_is_told_in_one_line(tmp_path, run):
    code, out, err = run(tmp_path)
    assert (code, out) == (2, "") and "expected a folder that" in err and err.count("\n") == 1
