"""Several hosts: joining them, and the process that prints."""

import contextlib
import importlib.util
import io
import math
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vreason_jax.errors import UserError, shown
from vreason_jax.runtime import group
from vreason_jax.runtime.mesh import parse_mesh

_EXPLICIT = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_MOST_CORES = 8  # that a CPU is split into unasked
_CPU_DEVICES = "xla_force_host_platform_device_count"
_PATIENCE = 5.0  # seconds of waiting for other processes without a word
_LATE_WAIT = 5  # seconds, where this process only has to tell them that it ends


def start(
    coordinator: str | None = None,
    process_id: int | None = None,
    num_processes: int | None = None,
    *,
    mesh: str | None = None,
    many: bool = False,
) -> None:
    """Joins the other hosts where there are any; must run before anything else uses JAX.

    Hosts come from the arguments, from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID, from Slurm or Open MPI with more than one process, from Kubernetes, or from the
    metadata of a TPU VM. A single host's CPU is split into as many devices as `mesh` (the text of
    `--mesh`) needs, at most one per core, and without it, for `many` questions, into one per core.
    Raises UserError if hosts are named incompletely, if other hosts do not answer, if JAX_PLATFORMS
    names an absent platform, or if `mesh` is not a mesh.
    """
    _join_hosts(_given_arguments(coordinator, process_id, num_processes) or _named_arguments())
    if (mesh or many) and not jax.distributed.is_initialized():
        _use_cores(math.prod(parse_mesh(mesh).values()) if mesh else _MOST_CORES)
    _find_devices()
    _keep_stdout_clean()


def end_with_others(
    code: int,
    text: str,
    coordinator: str | None,
    process_id: int | None,
    num_processes: int | None,
) -> None:
    """Joins the hosts that are named as for `start`, TPUs apart, to end with them (`group.end`)."""
    named = _given_arguments(coordinator, process_id, num_processes) or _named_arguments()
    if named or group.launched_together():
        _join_hosts(named, initialization_timeout=_LATE_WAIT)
        group.end(code, text, 2 * _LATE_WAIT)  # others may still be on their way here


def is_main() -> bool:
    """Returns whether this process prints and writes files."""
    return jax.process_index() == 0


def largest(values: np.ndarray) -> np.ndarray:
    """Returns the elementwise maximum over all processes, which pass arrays of one shape."""
    if jax.process_count() == 1:
        return values
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(values)).max(axis=0)


def _join_hosts(arguments: dict | None, **settings: Any) -> None:
    tpu = _on_tpu_vm()
    if arguments is None and not group.launched_together() and not _in_job_of_pods() and not tpu:
        return
    try:
        with _told_of_waiting(arguments), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about proxies in the environment
            # Its service would take SIGTERM for itself.
            jax.config.update("jax_enable_preemption_service", False)
            group.meet(lambda: jax.distributed.initialize(**(arguments or {}), **settings))
    except ValueError as error:
        if tpu and arguments is None and "coordinator_address" in str(error):
            return  # chips without a slice around them: JAX found no metadata
        raise UserError(f"several hosts are configured, but not completely: {error}") from None
    except RuntimeError as error:
        reason = (str(error) or "RuntimeError").splitlines()[0]
        raise UserError(f"the hosts did not find each other: {reason}") from None


@contextlib.contextmanager
def _told_of_waiting(arguments: dict | None) -> Iterator[None]:
    """Says on stderr what this process waits for, if that takes more than some seconds."""
    text = "waiting for the other processes of this job to start"
    if arguments:
        text = "process {process_id} waits until all {num_processes} are at {coordinator_address}"
        text = text.format(**arguments)
    timer = threading.Timer(_PATIENCE, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _use_cores(devices: int) -> None:
    """Splits a CPU into devices, at most one per core; a device uses little more than one core.

    XLA_FLAGS takes precedence, and a process that has used JAX already stays as it is.
    """
    if devices > 1 and _CPU_DEVICES not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            cores = len(os.sched_getaffinity(0))
            jax.config.update("jax_num_cpu_devices", min(devices, cores))


def _find_devices() -> None:
    """Initialises JAX's devices, hiding the libraries' output if there is no TPU.

    Without a TPU, libtpu writes a long message to stderr whatever the log levels; with one, its
    messages matter.
    """
    try:
        with contextlib.nullcontext() if _tpu_chips() else _silent_libraries():
            jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter, empty, for a missing plugin
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = (str(error) or "it is not installed").splitlines()[0]
        raise UserError(
            f"JAX_PLATFORMS={shown(asked)}: found no device to run on: {reason}"
        ) from None


def _given_arguments(coordinator, process_id, num_processes) -> dict | None:
    """Returns the arguments of the flags, or None without any."""
    given = {
        "--coordinator": coordinator,
        "--process-id": process_id,
        "--num-processes": num_processes,
    }
    missing = [flag for flag, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if missing:
        raise UserError(f"several hosts: expected {', '.join(given)} together, no {missing[0]}")
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process-id: expected 0 to {num_processes - 1}, as --num-processes is "
            f"{num_processes}, got {process_id}"
        )
    return {
        "coordinator_address": coordinator,
        "num_processes": num_processes,
        "process_id": process_id,
    }


def _named_arguments() -> dict | None:
    """Returns the arguments in the JAX_ variables, or None if they are not set."""
    if not any(name in os.environ for name in _EXPLICIT[1:]):
        return None
    missing = [name for name in _EXPLICIT if not os.environ.get(name)]
    if missing:
        raise UserError(f"several hosts: expected {', '.join(_EXPLICIT)}, {missing[0]} is not set")
    address, count, process = (os.environ[name] for name in _EXPLICIT)
    try:
        return {
            "coordinator_address": address,
            "num_processes": int(count),
            "process_id": int(process),
        }
    except ValueError:
        raise UserError(
            f"several hosts: expected whole numbers in JAX_NUM_PROCESSES and JAX_PROCESS_ID, "
            f"got {shown(count)} and {shown(process)}"
        ) from None


def _keep_stdout_clean() -> None:
    """Keeps stdout for Python: Gloo, which connects CPU hosts, prints there for every new group."""
    if jax.process_count() == 1 or jax.default_backend() != "cpu":
        return
    sys.stdout.flush()
    ours = _send_nowhere(1)
    sys.stdout = os.fdopen(ours, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Discards what others than Python write to stderr."""
    former, kept = sys.stderr, _send_nowhere(2)
    try:
        # The last words of a thread that ends this process are to be read.
        if former is sys.__stderr__ and isinstance(former, io.TextIOWrapper):
            former.flush()
            sys.stderr = os.fdopen(kept, "w", 1, former.encoding, former.errors, closefd=False)
        yield
    finally:
        sys.stderr = former
        os.dup2(kept, 2)
        os.close(kept)


def _send_nowhere(descriptor: int) -> int:
    """Discards the output of a descriptor; returns a new descriptor with the old target."""
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return kept


def _in_job_of_pods() -> bool:
    """Returns whether this is a pod of an Indexed Job in Kubernetes whose pods are one group.

    Where JOB_COMPLETIONS says how many there are, each is a part by itself (`evaluate --shard`).
    JAX asks Kubernetes for the others by its Python package.
    """
    indexed = "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ
    apart = "JOB_COMPLETIONS" in os.environ
    return indexed and not apart and importlib.util.find_spec("kubernetes") is not None


def _on_tpu_vm() -> bool:
    """Returns whether JAX may use TPU chips of this machine; it then looks for the slice itself."""
    configured = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]
    platforms = os.environ.get("JAX_PLATFORMS") or configured or "tpu"
    if sys.platform != "linux" or "tpu" not in platforms:
        return False
    return _tpu_chips() and importlib.util.find_spec("libtpu") is not None


def _tpu_chips() -> bool:
    return any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))
