"""Runs a task of a checkpoint's files in a process with limits: they may loop, swell or crash.

The parent's side is `ask`, the child's `serve`. A request and its reply are JSON objects on stdin
and stdout.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
TOKENIZER = "vreason_jax.prompt.tokenizer_process"
TEMPLATE = "vreason_jax.prompt.template_process"
SECONDS = 30  # from start to reply, on a machine that may be busy
CPU_SECONDS = 8
MEMORY = 2 * 2**30  # bytes of address space


class IsolationError(Exception):
    """The process did not reply; says why in a few words."""


@contextlib.contextmanager
def ready() -> Iterator[None]:
    """Starts a process for the first request of each kind, which imports while others work."""
    _ready.update({module: _start(module) for module in (TOKENIZER, TEMPLATE)})
    try:
        yield
    finally:
        for process in _ready.values():
            _end(process)
        _ready.clear()


_ready: dict[str, subprocess.Popen] = {}


def ask(module: str, request: dict[str, Any]) -> dict[str, Any]:
    """Returns the reply of `python -m module`; raises IsolationError where none comes."""
    process = _ready.pop(module, None) or _start(module)
    try:
        reply, errors = process.communicate(json.dumps(request).encode(), timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise IsolationError(f"no end after {SECONDS} seconds") from None
    finally:
        _end(process)
    if process.returncode == 0:
        return json.loads(reply)
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise IsolationError(f"no end after {CPU_SECONDS} seconds of computing")
    if b"MemoryError" in errors:
        raise IsolationError(f"more than {MEMORY >> 30} GiB of memory used")
    if process.returncode < 0:
        raise IsolationError(f"a crash by signal {-process.returncode}")
    raise RuntimeError(f"{module} failed:\n{errors.decode(errors='replace')}")


def _start(module: str) -> subprocess.Popen:
    inherited = os.environ.get("PYTHONPATH")
    paths = [str(_PACKAGE_PARENT)] + ([inherited] if inherited else [])
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def serve(task: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers one request by `task`, under the limits."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    reply = json.dumps(task(json.load(sys.stdin)))
    sys.stdout.write(reply)
    sys.stdout.flush()
    os._exit(0)
