import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from vreason_jax.errors import UserError
from vreason_jax.runtime import distributed

ROOT = Path(__file__).parent.parent

PROCESS = """
import sys
from vreason_jax.errors import UserError
from vreason_jax.runtime import distributed
try:
    distributed.start()
    import jax
    assert jax.process_count() == 2, jax.process_count()
    distributed.agree()
    print("main" if distributed.is_main() else "other", flush=True)
    fails = jax.process_index() == int(sys.argv[1])
    distributed.agree(UserError("clip.mp4: no such file") if fails else None)
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


@pytest.fixture
def single(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("JAX_COORD", "JAX_NUM", "JAX_PROCESS", "SLURM_", "OMPI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    return monkeypatch


def test_a_cpu_has_the_devices_that_a_mesh_names_up_to_its_cores(single):
    code = (
        "import jax, sys; from vreason_jax.runtime import distributed; "
        "distributed.start(mesh=sys.argv[1]); print(jax.device_count())"
    )
    single.setenv("XLA_FLAGS", "")
    cores = len(os.sched_getaffinity(0))
    for mesh, expected in (("data=1", 1), ("data=2", min(2, cores)), ("data=99,model=99", cores)):
        command = [sys.executable, "-c", code, mesh]
        assert int(subprocess.check_output(command, cwd=ROOT, text=True)) == expected


@pytest.fixture
def initialized(monkeypatch):
    """The arguments of jax.distributed.initialize, which is not run."""
    assert jax.process_count() == 1
    calls = []
    monkeypatch.setattr("jax.distributed.initialize", lambda **kwargs: calls.append(kwargs))
    return calls


def run_two(failing: int):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    processes = []
    for process in range(2):
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
        environment |= {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "XLA_FLAGS": ""}
        environment |= {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(process)}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", PROCESS, str(failing)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    results = []
    for process in processes:
        try:
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        results.append((process.returncode, output.strip(), errors.strip()))
    return results


def test_two_processes_agree_and_go_on():
    first, second = run_two(failing=-1)
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert {first[1], second[1]} == {"main", "other"}


def test_what_one_process_misses_ends_both_with_its_reason():
    first, second = run_two(failing=1)
    assert (first[0], second[0]) == (2, 2), first[2] + second[2]
    assert second[2].splitlines()[-1] == "clip.mp4: no such file"
    assert first[2].splitlines()[-1] == "process 1: clip.mp4: no such file"


def test_one_process_alone_starts_nothing_and_raises_its_own_error(single, initialized):
    distributed.start()
    assert initialized == []
    assert distributed.is_main()
    distributed.agree()
    with pytest.raises(UserError, match="mine"):
        distributed.agree(UserError("mine"))


def test_the_variables_of_jax_are_passed_on(single, initialized):
    single.setenv("JAX_COORDINATOR_ADDRESS", "host:1")
    single.setenv("JAX_NUM_PROCESSES", "4")
    single.setenv("JAX_PROCESS_ID", "3")
    distributed.start()
    assert initialized == [{"coordinator_address": "host:1", "num_processes": 4, "process_id": 3}]


def test_launchers_with_several_processes_start_jaxs_own_detection(single, initialized):
    single.setenv("SLURM_NTASKS", "2")
    distributed.start()  # a batch step: srun has not started the tasks
    assert initialized == []
    single.setenv("SLURM_STEP_NODELIST", "node1,node2")
    distributed.start()
    assert initialized == [{}]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"}, "JAX_COORDINATOR_ADDRESS is not set"),
        ({"JAX_COORDINATOR_ADDRESS": "h:1", "JAX_PROCESS_ID": "0"}, "JAX_NUM_PROCESSES is not set"),
        (
            {"JAX_COORDINATOR_ADDRESS": "h:1", "JAX_NUM_PROCESSES": "two", "JAX_PROCESS_ID": "0"},
            "whole numbers",
        ),
    ],
)
def test_incomplete_variables_are_a_user_error(single, initialized, values, reason):
    for name, value in values.items():
        single.setenv(name, value)
    with pytest.raises(UserError, match=reason):
        distributed.start()
    assert initialized == []
