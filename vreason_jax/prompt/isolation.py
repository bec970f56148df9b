"""Runs a task of a checkpoint's files in a process with limits: they may loop, swell or crash.

The parent's side is `ask`, the child's `serve`. A request and its reply are JSON objects on stdin
and stdout.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
SECONDS = 30  # from start to reply, on a machine that may be busy
CPU_SECONDS = 8
MEMORY = 2 * 2**30  # bytes of address space


class IsolationError(Exception):
    """The process did not reply; says why in a few words."""


def ask(module: str, request: dict[str, Any]) -> dict[str, Any]:
    """Returns the reply of `python -m module`; raises IsolationError where none comes."""
    inherited = os.environ.get("PYTHONPATH")
    paths = [str(_PACKAGE_PARENT)] + ([inherited] if inherited else [])
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", module],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=SECONDS,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
    except subprocess.TimeoutExpired:
        raise IsolationError(f"no end after {SECONDS} seconds") from None
    if ended.returncode == 0:
        return json.loads(ended.stdout)
    if ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise IsolationError(f"no end after {CPU_SECONDS} seconds of computing")
    if b"MemoryError" in ended.stderr:
        raise IsolationError(f"more than {MEMORY >> 30} GiB of memory used")
    if ended.returncode < 0:
        raise IsolationError(f"a crash by signal {-ended.returncode}")
    raise RuntimeError(f"{module} failed:\n{ended.stderr.decode(errors='replace')}")


def serve(task: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers one request by `task`, under the limits."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    reply = json.dumps(task(json.load(sys.stdin)))
    sys.stdout.write(reply)
    sys.stdout.flush()
    os._exit(0)
