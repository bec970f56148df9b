"""The parent's side of decoding: starts the worker, takes its reply, ends it at its deadline."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.worker import LENGTH

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
LONGEST_WAIT = 1e6  # seconds; timers refuse much more, and infinity
WORKER = [sys.executable, "-P", "-m", "vreason_jax.video.worker"]


def decode(request: dict[str, Any], config: VideoConfig) -> tuple[dict[str, Any], np.ndarray]:
    """Returns the worker's header and frames uint8 [F,h,w,3] for a request of `reader.read_video`.

    Under `auto`, a crash of decord is answered by PyAV. Raises UserError for what the worker calls
    one, a crash of the last reader and the end of `config.timeout_seconds`; RuntimeError for a bug.
    """
    readers = ["decord", "pyav"] if config.reader == "auto" else [config.reader]
    seconds = min(config.timeout_seconds, LONGEST_WAIT)
    deadline = time.monotonic() + seconds
    notices = []
    while True:
        try:
            ask = request | {"readers": readers, "timeout_seconds": seconds}
            header, frames = _run_worker(ask, deadline)
            header["notices"] += notices
            return header, frames
        except _Crash as crash:
            if len(readers) == 1:
                raise UserError(
                    f"the reader {readers[0]} crashed ({crash}) on this file; try "
                    f"--set video.reader={_other_than(readers)}, or encode the video anew"
                ) from None
            notices = [f"read by pyav, since another reader crashed ({crash})"]
            readers = ["pyav"]


class _Crash(Exception):
    """The worker ended by a signal."""


def _other_than(readers: list[str]) -> str:
    return "decord" if readers == ["pyav"] else "pyav"


def _run_worker(request: dict[str, Any], deadline: float) -> tuple[dict[str, Any], np.ndarray]:
    with tempfile.TemporaryFile() as chatter:
        process = _start(chatter)
        late = threading.Event()
        timer = threading.Timer(deadline - time.monotonic(), _kill_late, (process, late))
        timer.daemon = True
        timer.start()
        try:
            reply = _converse(process, request)
            if reply is None:
                process.wait()
        finally:
            timer.cancel()
            _kill(process)
        if reply is None:
            raise _failure(process.returncode, late.is_set(), request, chatter)
    header, frames = reply
    if "error" in header:
        raise UserError(header["error"])
    return header, frames


def _start(chatter: IO[bytes]) -> subprocess.Popen[bytes]:
    inherited = os.environ.get("PYTHONPATH")
    paths = [str(PACKAGE_PARENT)] + ([inherited] if inherited else [])
    return subprocess.Popen(
        WORKER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=chatter,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,  # a process group of its own, to be killed whole
    )


def _converse(
    process: subprocess.Popen[bytes], request: dict[str, Any]
) -> tuple[dict[str, Any], np.ndarray] | None:
    """Sends the request; returns header and frames, or None where the worker ended before."""
    assert process.stdin is not None and process.stdout is not None
    # In this order: closing flushes once more, and a worker that is gone breaks that pipe too.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(json.dumps(request).encode())
        process.stdin.flush()
    length = process.stdout.read(LENGTH.size)
    if len(length) < LENGTH.size:
        return None
    text = process.stdout.read(LENGTH.unpack(length)[0])
    try:
        header = json.loads(text)
    except ValueError:
        return None
    frames = np.empty(header.get("shape", (0,)), np.uint8)
    view = frames.reshape(-1).data
    while view:
        count = process.stdout.readinto(view)  # type: ignore[attr-defined]
        if not count:
            return None
        view = view[count:]
    return header, frames


def _failure(code: int, late: bool, request: dict[str, Any], chatter: IO[bytes]) -> Exception:
    if late:
        seconds, other = request["timeout_seconds"], _other_than(request["readers"])
        return UserError(
            f"not decoded within {seconds:g} seconds and given up; allow more with "
            f"--set video.timeout_seconds={2 * seconds:g}, or try --set video.reader={other}"
        )
    if code < 0:
        try:
            return _Crash(signal.Signals(-code).name)
        except ValueError:
            return _Crash(f"signal {-code}")
    chatter.seek(0)
    return RuntimeError(f"the decoding process failed:\n{chatter.read().decode(errors='replace')}")


def _kill_late(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill_group(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    _kill_group(process)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
