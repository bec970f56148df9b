"""`evaluate` in two processes on one machine: a copy of the model each, or one for both."""

import json
import socket
from collections import ChainMap

import pytest
from evaluate_runs import FLAGS, answers, end_of, start
from xla_flags import quick


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
    first, second = run_two(place, "--out", tmp_path, *FLAGS, "--mesh", mesh, ways=ways)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    got, alone = (
        {key: line["text"] for key, line in answers(folder).items()}
        for folder in (tmp_path, undisturbed)
    )
    assert got == alone
    assert second.err == "" and first.out == second.out == ""
    facts = json.loads((tmp_path / "run.json").read_text())
    assert len(facts["sessions"]) == sessions
    assert sum(session["counts"]["answers"] for session in facts["sessions"]) == len(alone)
    assert (tmp_path / "summary.json").exists() and (tmp_path / "report.html").exists()


@pytest.mark.parametrize(("mesh", "written"), [("data=2", 2), ("model=2", 1)])
def test_two_processes_with_a_folder_each_give_the_lines_of_one_between_them(
    place, tmp_path, undisturbed, mesh, written
):
    folders = [tmp_path / "0", tmp_path / "1"]
    own = [("--out", folder) for folder in folders]
    ends = run_two(place, *FLAGS, "--mesh", mesh, own=own)
    assert [end.code for end in ends] == [0, 0], ends[0].err + ends[1].err
    found = [folder for folder in folders if (folder / "predictions.jsonl").exists()]
    assert len(found) == written
    texts = [{key: line["text"] for key, line in answers(folder).items()} for folder in found]
    alone = {key: line["text"] for key, line in answers(undisturbed).items()}
    assert sum(map(len, texts)) == len(alone) and dict(ChainMap(*texts)) == alone
    for folder in found:
        assert len(json.loads((folder / "run.json").read_text())["sessions"]) == 1
        assert (folder / "summary.json").exists() and (folder / "questions.jsonl").exists()
