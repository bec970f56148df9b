"""`evaluate` in two processes on one machine: a copy of the model each, or one for both."""

import json
import socket
from collections import ChainMap

import pytest
from evaluate_runs import FLAGS, QUESTIONS, answers, end_of, start
from xla_flags import quick

# Sums over processes that share two cores take their time.
LIMITS = {"data=2": QUESTIONS, "model=2": 2}


def flags_of(mesh):
    """The flags of a run over a mesh, whose questions are the first of the undisturbed one's."""
    return *FLAGS, "--mesh", mesh, "--limit", LIMITS[mesh]


def texts_of(folder):
    return {key: line["text"] for key, line in answers(folder).items()}


def assert_first_lines(got, undisturbed, mesh):
    """Both methods have answered the questions of a mesh as one process alone did."""
    alone = texts_of(undisturbed)
    assert got == {key: alone[key] for key in got} and len(got) == 2 * LIMITS[mesh]


def run_two(place, *flags, own=((), ()), ways=("flags", "flags"), devices=1):
    """Runs in two processes, each with flags of its `own` beside those of both."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    processes = []
    for number, way in enumerate(ways):
        given = ["--coordinator", address, "--process-id", number, "--num-processes", 2]
        names = {"COORDINATOR_ADDRESS": address, "NUM_PROCESSES": 2, "PROCESS_ID": number}
        variables = {f"JAX_{name}": value for name, value in names.items()}
        variables["XLA_FLAGS"] = quick(devices)
        if way == "flags":
            variables = {"XLA_FLAGS": variables["XLA_FLAGS"]}
        given = given if way == "flags" else []
        processes.append(start(place, *flags, *own[number], *given, **variables))
    return [end_of(process, 600) for process in processes]


@pytest.mark.parametrize(
    ("mesh", "ways", "sessions"),
    [("data=2", ("flags", "environment"), 2), ("model=2", ("environment", "flags"), 1)],
)
def test_two_processes_give_the_lines_of_one(place, tmp_path, undisturbed, mesh, ways, sessions):
    first, second = run_two(place, "--out", tmp_path, *flags_of(mesh), ways=ways)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    got = texts_of(tmp_path)
    assert_first_lines(got, undisturbed, mesh)
    assert second.err == "" and first.out == second.out == ""
    facts = json.loads((tmp_path / "run.json").read_text())
    assert len(facts["sessions"]) == sessions
    assert sum(session["counts"]["answers"] for session in facts["sessions"]) == len(got)
    assert (tmp_path / "summary.json").exists() and (tmp_path / "report.html").exists()


@pytest.mark.parametrize(("mesh", "written"), [("data=2", 2), ("model=2", 1)])
def test_two_processes_with_a_folder_each_give_the_lines_of_one_between_them(
    place, tmp_path, undisturbed, mesh, written
):
    folders = [tmp_path / "0", tmp_path / "1"]
    own = [("--out", folder) for folder in folders]
    ends = run_two(place, *flags_of(mesh), own=own)
    assert [end.code for end in ends] == [0, 0], ends[0].err + ends[1].err
    found = [folder for folder in folders if (folder / "predictions.jsonl").exists()]
    assert len(found) == written
    texts = [texts_of(folder) for folder in found]
    joined = dict(ChainMap(*texts))
    assert sum(map(len, texts)) == len(joined)
    assert_first_lines(joined, undisturbed, mesh)
    for folder in found:
        assert len(json.loads((folder / "run.json").read_text())["sessions"]) == 1
        assert (folder / "summary.json").exists() and (folder / "questions.jsonl").exists()
