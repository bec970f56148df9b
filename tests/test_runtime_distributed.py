import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from vreason_jax.errors import UserError
from vreason_jax.runtime import distributed, group

ROOT = Path(__file__).parent.parent

PROCESS = '''
import functools, os, signal, sys, time
from vreason_jax.command_line import exit_code, tell_of_end
from vreason_jax.errors import UserError
from vreason_jax.runtime import distributed, group

def fail(*_):
    raise UserError("clip.mp4: no such file")

class Interrupted:
    """JAX's client in a process whose main thread fails before the client is connected."""

    def __init__(self, *args, **settings):
        self.client = make(*args, **settings)

    def connect(self):
        signal.raise_signal(signal.SIGALRM)
        time.sleep(1)
        self.client.connect()

    def __getattr__(self, name):
        return getattr(self.client, name)

def program():
    global make
    if os.environ["JAX_PROCESS_ID"] == sys.argv[1]:
        if sys.argv[2] == "early":
            fail()
        if sys.argv[2] == "meeting":
            from jax._src import distributed as jaxs
            signal.signal(signal.SIGALRM, fail)
            make = jaxs._jax.get_distributed_runtime_client
            jaxs._jax.get_distributed_runtime_client = Interrupted
    distributed.start()
    import jax
    assert jax.process_count() == 2, jax.process_count()
    print("main" if distributed.is_main() else "other", flush=True)
    if sys.argv[2] == "late":
        group.wait_for_all("late")
    if jax.process_index() == int(sys.argv[1]):
        time.sleep(1.0 if sys.argv[2] in ("late", "killed") else 0.0)
        if sys.argv[2] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        errors = {"user": UserError("clip.mp4: no such file"), "bug": KeyError("sessions")}
        errors["late"] = errors["user"]
        errors["bug"].add_note("the notice that JAX puts behind errors of its programs")
        raise errors[sys.argv[2]]
    if sys.argv[1] == "-2":
        group.check_same("flags", {"--limit": jax.process_index(), "--set": []})
    if sys.argv[2] != "late":
        group.wait_for_all("end")

sys.exit(exit_code(program, functools.partial(tell_of_end, [])))
'''


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
    monkeypatch.setattr(group, "_begin_to_watch", lambda: None)
    return calls


def run_two(failing: int, how: str = "user"):
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
                [sys.executable, "-c", PROCESS, str(failing), how],
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
        # On a busy machine the first to come says that it waits.
        said = [line for line in errors.splitlines() if " waits until all " not in line]
        results.append((process.returncode, output.strip(), "\n".join(said).strip()))
    return results


def test_two_processes_meet_and_go_on():
    first, second = run_two(failing=-1)
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert (first[1], second[1]) == ("main", "other") and first[2] == second[2] == ""


@pytest.mark.parametrize("how", ["user", "early", "meeting"])
@pytest.mark.parametrize("failing", [0, 1])
def test_what_one_process_misses_ends_both_with_its_reason(failing, how):
    """Whether it has joined the other by then, is about to, or has not begun."""
    ends = run_two(failing, how)
    assert [end[0] for end in ends] == [2, 2]
    assert ends[failing][2] == "error: clip.mp4: no such file"
    assert ends[1 - failing][2] == f"error: process {failing}: clip.mp4: no such file"


def test_the_end_of_a_process_that_is_killed_ends_the_other_within_seconds():
    began = time.monotonic()
    first, killed = run_two(1, "killed")
    assert (first[0], killed[0]) == (1, -9) and time.monotonic() - began < 20
    assert first[2] == "error: process 1 has ended without a word"


def test_a_process_that_nobody_joins_ends_alone_within_seconds(single):
    code = (
        "import sys; from vreason_jax import evaluate; "
        "sys.exit(evaluate.main(['--coordinator', 'localhost:9', '--process-id', '1',"
        "'--num-processes', '2', '--mehtods', 'vreason']))"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and time.monotonic() - began < 60
    assert done.stderr.splitlines()[-1].startswith("error: unknown argument '--mehtods'")


@pytest.mark.parametrize("failing", [0, 1])
def test_a_process_that_has_ended_well_ends_as_the_last_one_does(failing):
    ends = run_two(failing, how="late")
    assert [end[0] for end in ends] == [2, 2]
    assert ends[1 - failing][2] == f"error: process {failing}: clip.mp4: no such file"


class SlowStore:
    """JAX's store of keys for process 0 of two; a count of one that is alive takes a while."""

    def __init__(self):
        self.kept = {"vreason_jax/alive/1": json.dumps(group._DONE)}
        self.counting = threading.Event()

    def key_value_set(self, key, value, allow_overwrite):
        if key == "vreason_jax/alive/0" and json.loads(value) != group._DONE:
            self.counting.set()
            time.sleep(0.3)
        self.kept[key] = value

    def key_value_dir_get(self, start):
        return [(key, value) for key, value in self.kept.items() if key.startswith(start)]


def test_the_last_sign_of_a_process_that_has_ended_well_says_so(monkeypatch):
    store = SlowStore()
    state = SimpleNamespace(client=store, process_id=0, num_processes=2)
    monkeypatch.setattr(group, "_state", lambda: state)
    monkeypatch.setattr(group, "joined", lambda: True)
    monkeypatch.setattr(group, "_done", threading.Event())
    monkeypatch.setattr(group, "_over", threading.Event())
    monkeypatch.setattr(group, "_EVERY", 0.01)
    watching = threading.Thread(target=group._watch)
    watching.start()
    assert store.counting.wait(10)
    group.end_well()
    time.sleep(0.5)
    group._over.set()
    watching.join()
    assert store.kept["vreason_jax/alive/0"] == json.dumps(group._DONE)


def test_a_process_is_silent_after_many_looks_of_this_one(monkeypatch):
    monkeypatch.setattr(group, "_read", lambda _: {0: group._DONE, 1: 7, 2: 5})
    signs, last = {2: (4, 0)}, group._SILENT_AFTER
    assert [group._silent(signs, look) for look in (1, last, last + 1, last + 2)] == [
        None, None, None, 1,
    ]  # fmt: skip


def test_a_bug_in_one_process_ends_both_with_its_last_line():
    first, second = run_two(failing=1, how="bug")
    assert (first[0], second[0]) == (1, 1)
    assert first[2] == "error: process 1: KeyError: 'sessions'"
    assert second[2].startswith("Traceback") and second[2].endswith("error: KeyError: 'sessions'")


def test_processes_with_other_flags_end_at_once_and_name_them():
    first, second = run_two(failing=-2)
    assert (first[0], second[0]) == (2, 2)
    reason = "expected the same flags in all processes, got --limit: 0 in process 0, 1 in process 1"
    assert second[2] == f"error: {reason}" and first[2] == f"error: process 1: {reason}"


def test_one_process_alone_starts_nothing_and_raises_its_own_error(single, initialized):
    distributed.start()
    assert initialized == []
    assert distributed.is_main()
    group.wait_for_all("end")
    group.check_same("flags", {"--limit": 1})
    assert group.of_first("run", "mine") == "mine"


def test_the_variables_of_jax_are_passed_on(single, initialized):
    single.setenv("JAX_COORDINATOR_ADDRESS", "host:1")
    single.setenv("JAX_NUM_PROCESSES", "4")
    single.setenv("JAX_PROCESS_ID", "3")
    distributed.start()
    assert initialized == [{"coordinator_address": "host:1", "num_processes": 4, "process_id": 3}]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("host:1", 1, 2), "process 1 waits until all 2 are at host:1\n"),
        ((), "waiting for the other processes of this job to start\n"),
    ],
)
def test_a_process_that_waits_for_others_says_so(single, initialized, capsys, arguments, told):
    single.setenv("SLURM_NTASKS", "2")
    single.setenv("SLURM_STEP_NODELIST", "node1,node2")
    distributed.start(*arguments)
    assert capsys.readouterr().err == ""
    single.setattr(distributed, "_PATIENCE", 0.01)
    single.setattr("jax.distributed.initialize", lambda **arguments: time.sleep(0.2))
    distributed.start(*arguments)
    assert capsys.readouterr().err == told


def test_launchers_with_several_processes_start_jaxs_own_detection(single, initialized):
    single.setenv("SLURM_NTASKS", "2")
    distributed.start()  # a batch step: srun has not started the tasks
    assert initialized == []
    single.setenv("SLURM_STEP_NODELIST", "node1,node2")
    distributed.start()
    assert initialized == [{}]


def test_pods_of_an_indexed_job_start_jaxs_own_detection_unless_they_are_parts(single, initialized):
    single.setattr("importlib.util.find_spec", lambda name: name if name == "kubernetes" else None)
    single.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    distributed.start()
    assert initialized == []
    single.setenv("JOB_COMPLETION_INDEX", "1")
    single.setenv("JOB_COMPLETIONS", "4")
    distributed.start()
    assert initialized == []
    single.delenv("JOB_COMPLETIONS")
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
