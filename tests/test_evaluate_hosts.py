"""`evaluate` in two processes on one machine: a copy of the model each, or one for both."""

import json
import socket

import pytest
from evaluate_runs import FLAGS, answers, end_of, start


def run_two(place, *flags, ways=("flags", "flags"), devices=1):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    processes = []
    for number, way in enumerate(ways):
        given = ["--coordinator", address, "--process-id", number, "--num-processes", 2]
        names = {"COORDINATOR_ADDRESS": address, "NUM_PROCESSES": 2, "PROCESS_ID": number}
        variables = {f"JAX_{name}": value for name, value in names.items()}
        variables["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        if way == "flags":
            variables = {"XLA_FLAGS": variables["XLA_FLAGS"]}
        processes.append(start(place, *flags, *(given if way == "flags" else ()), **variables))
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
