"""The parent's side of decoding: starts the worker, takes its reply, ends it at its deadline."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video import spool
from vreason_jax.video.worker import LENGTH

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
LONGEST_WAIT = 1e6  # seconds; timers refuse much more, and infinity
SHARES = {"auto": {"pyav": 0.75, "decord": 1.0}, "pyav": {"pyav": 1.0}}  # of what is left
SAME_LEVELS = 0.5  # mean difference of one frame by two readers, of 255
WORKER = [sys.executable, "-P", "-m", "vreason_jax.video.worker"]


def decode(request: dict[str, Any], config: VideoConfig) -> tuple[dict[str, Any], np.ndarray]:
    """Returns the worker's header and frames uint8 [F,h,w,3] for a request of `reader.read_video`.

    Under `auto` PyAV reads; decord does where PyAV cannot, or hangs for its three quarters of
    `config.timeout_seconds`. What decord reads by the user's wish is compared with PyAV's frames,
    and given up where they differ. Raises UserError for what neither can read; RuntimeError for
    a bug.
    """
    clock = _Clock(min(config.timeout_seconds, LONGEST_WAIT))
    if request["folder_fps"] is not None:
        return _first_that_reads(request, {"folder": 1.0}, clock)
    with _readable(request["path"], clock) as (path, descriptors):
        request = request | {"path": path, "descriptors": descriptors}
        if config.reader == "decord":
            return _checked_decord(request, clock)
        return _first_that_reads(request, SHARES[config.reader], clock)


@contextlib.contextmanager
def spooled(path: str, seconds: float) -> Iterator[str]:
    """Gives a path at which the contents of a file or pipe can be read, for as long as it lasts.

    Raises UserError for a device or a socket, and for a pipe that does not end in time.
    """
    with _readable(path, _Clock(min(seconds, LONGEST_WAIT))) as (readable, _):
        yield readable


class _Clock:
    """The time that a file may take, of which readers get shares."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def deadline(self, share: float) -> float:
        """Returns when a reader with this share of what is left must be done."""
        now = time.monotonic()
        return now + max(0.0, self._end - now) * share


class _Failed(Exception):
    """A reader failed; the message is a clause for the user."""


@contextlib.contextmanager
def _readable(path: str, clock: _Clock) -> Iterator[tuple[str, list[int]]]:
    """Gives a path with its own position, and the descriptors that a worker inherits for it."""
    kind = spool.kind_of(path)
    if kind == "file":
        yield os.path.realpath(path), []
        return
    with tempfile.TemporaryFile() as copy, spool.inheritable(path) as (source, descriptors):
        request = {"reader": "spool", "path": source, "target": copy.fileno()}
        request |= {"descriptors": [*descriptors, copy.fileno()]}
        try:
            header, _ = _run_worker(request, clock, 1.0)
        except _Failed as failure:
            raise UserError(f"expected a pipe that is written to and ends, {failure}") from None
        if not header["bytes"]:
            raise UserError("expected a video from the pipe, it is empty")
        yield f"/dev/fd/{copy.fileno()}", [copy.fileno()]


def _first_that_reads(
    request: dict[str, Any], shares: dict[str, float], clock: _Clock
) -> tuple[dict[str, Any], np.ndarray]:
    failures: list[str] = []
    for reader, share in shares.items():
        if failures and reader == "decord" and importlib.util.find_spec("decord") is None:
            break
        alone = reader != "decord" and importlib.util.find_spec("decord") is None
        try:
            ask = request | {"reader": reader}
            header, frames = _run_worker(ask, clock, 1.0 if alone else share)
        except _Failed as failure:
            failures.append(str(failure))
            continue
        header["reader"] = reader
        if failures:
            header["notices"].append(f"read by {reader}, unchecked, since {failures[0]}")
        return header, frames
    raise UserError(f"expected a readable video file, got: {'; '.join(failures)}")


def _checked_decord(request: dict[str, Any], clock: _Clock) -> tuple[dict[str, Any], np.ndarray]:
    """Returns decord's frames where PyAV gives the same, else PyAV's, with a notice."""
    try:
        header, frames = _run_worker(request | {"reader": "decord"}, clock, 0.5)
    except _Failed as failure:
        if importlib.util.find_spec("decord") is None:
            raise UserError(f"video.reader=decord: {failure}") from None
        reason = str(failure)
    else:
        try:
            other = _run_worker(request | {"reader": "pyav"}, clock, 1.0)
        except _Failed as failure:
            header["notices"].append(f"read by decord, unchecked, since {failure}")
            return header | {"reader": "decord"}, frames
        wrong = _differing(header, frames, *other)
        if not wrong:
            return header | {"reader": "decord"}, frames
        other[0]["notices"].append(f"read by pyav: {wrong}")
        return other[0] | {"reader": "pyav"}, other[1]
    header, frames = _first_that_reads(request, {"pyav": 1.0}, clock)
    header["notices"].append(f"read by pyav, since {reason}")
    return header, frames


def _differing(header: dict[str, Any], frames: np.ndarray, truth: dict[str, Any], true) -> str:
    if header["frame_indices"] != truth["frame_indices"] or frames.shape != true.shape:
        return "decord counts other frames than the time stamps say"
    apart = np.abs(frames.astype(np.int16) - true).mean((1, 2, 3)) > SAME_LEVELS
    late = np.abs(np.subtract(header["times"], truth["times"])) > 0.5 / header["fps"]
    wrong = int(np.sum(apart | late))
    return f"{wrong} of {len(frames)} frames of decord are not those asked for" if wrong else ""


@contextlib.contextmanager
def kept_worker() -> Iterator[None]:
    """Starts one worker and keeps it for all files that this thread reads.

    A worker takes longer to start than to read a small file, and starts while others work. One
    that a file has crashed, or that was ended at its deadline, is replaced.
    """
    _kept.wanted, _kept.worker = True, _Worker([])
    try:
        yield
    finally:
        _kept.wanted = False
        worker = getattr(_kept, "worker", None)
        if worker is not None:
            worker.end()
            _kept.worker = None


_kept = threading.local()


def _run_worker(request: dict[str, Any], clock: _Clock, share: float) -> tuple[dict[str, Any], Any]:
    seconds = max(0.0, clock.deadline(share) - time.monotonic())
    request = request | {"seconds": seconds, "parent": os.getpid()}
    keeps = getattr(_kept, "wanted", False) and not request.get("descriptors")
    worker = None
    if keeps:
        worker, _kept.worker = getattr(_kept, "worker", None), None
    worker = worker or _Worker(request.get("descriptors", []))
    try:
        header, frames = worker.ask(request, clock, last=not keeps)
        if keeps:
            _kept.worker, worker = worker, None
    finally:
        if worker is not None:
            worker.end()
    if header.get("kind") == "final":
        raise UserError(header["error"])
    if "error" in header:
        raise _Failed(header["error"])
    return header, frames


class _Worker:
    """A process that decodes."""

    def __init__(self, descriptors: list[int]):
        self._chatter = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = _start(self._chatter, descriptors)

    def ask(
        self, request: dict[str, Any], clock: _Clock, *, last: bool
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Returns its reply; raises _Failed where a file has crashed it, or took too long."""
        late = threading.Event()
        timer = threading.Timer(request["seconds"], _kill_late, (self._process, late))
        timer.daemon = True
        timer.start()
        try:
            reply = _converse(self._process, request, last=last)
            if reply is None:
                self._process.wait()
        finally:
            timer.cancel()
        if reply is None:
            code = self._process.returncode
            raise _failure(code, late.is_set(), request, clock, self._chatter)
        return reply

    def end(self) -> None:
        _kill(self._process)
        self._chatter.close()


def _start(chatter: IO[bytes], descriptors: list[int]) -> subprocess.Popen[bytes]:
    inherited = os.environ.get("PYTHONPATH")
    paths = [str(PACKAGE_PARENT)] + ([inherited] if inherited else [])
    return subprocess.Popen(
        WORKER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=chatter,
        pass_fds=descriptors,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,  # a process group of its own, to be killed whole
    )


def _converse(
    process: subprocess.Popen[bytes], request: dict[str, Any], *, last: bool
) -> tuple[dict[str, Any], np.ndarray] | None:
    """Sends the request; returns header and frames, or None where the worker ended before."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # a worker that is gone
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        if last:
            process.stdin.close()
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


def _failure(
    code: int, late: bool, request: dict[str, Any], clock: _Clock, chatter: IO[bytes]
) -> Exception:
    reader = request["reader"]
    if late:
        return _Failed(
            f"not decoded within {request['seconds']:.3g} seconds by {reader} and given up; allow "
            f"more with --set video.timeout_seconds={2 * clock.seconds:g}"
        )
    if code < 0:
        name = next((s.name for s in signal.Signals if s == -code), f"signal {-code}")
        return _Failed(f"the reader {reader} crashed ({name}) on this file; encode it anew")
    chatter.seek(0)
    return RuntimeError(f"the decoding process failed:\n{chatter.read().decode(errors='replace')}")


def _kill_late(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill_group(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    _kill_group(process)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):  # closing flushes once more
            if pipe is not None:
                pipe.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
