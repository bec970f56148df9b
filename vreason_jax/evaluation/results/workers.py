"""The processes at work in a run's folder, and the clips that each has claimed.

A worker keeps a file, `.workers/NAME.alive`, that it touches and holds a lock on. A claim is a hard
link to that file under the clip's name: one worker alone can make it, and it shows at once whether
that worker lives. Who finds a dead worker's claim makes the next one, with a higher number.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any, TextIO

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import digest_of

_FOLDER = ".workers"
_TOUCHED_EVERY = 10.0  # seconds
_DEAD_AFTER = 120.0  # seconds without a touch; network file systems show one up to a minute late
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # tells machines apart


class Worker:
    """This process at work; a context manager."""

    def __init__(self, folder: Path, started: str):
        """`started` is when its session began, as `run.json` has it."""
        self._place = folder / _FOLDER
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.alive"
        self.started = started
        self._seen: dict[tuple[int, int], tuple[int, float]] = {}
        self._claims: dict[str, int] = {}  # numbers by clip
        self._left = threading.Event()

    def __enter__(self) -> "Worker":
        self._place.mkdir(exist_ok=True)
        self._begin()
        threading.Thread(target=self._live, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.leave()

    def leave(self) -> None:
        """Gives back what it has claimed, for others to take at once."""
        self._left.set()
        for clip in list(self._claims):
            self.release(clip)
        with contextlib.suppress(FileNotFoundError):
            (self._place / self._name).unlink()
        self._file.close()
        if not living(self._place.parent):
            shutil.rmtree(self._place, ignore_errors=True)  # what the dead have left

    def claim(self, clip: str) -> bool:
        """Takes a clip; returns False where a living worker has it."""
        number = 0
        while True:
            claim = self._claim(clip, number)
            try:
                os.link(self._place / self._name, claim)
            except FileExistsError:
                alive = self._is_alive(claim)
                if alive:
                    return False
                number += alive is not None
            except FileNotFoundError:  # somebody has cleared the folder
                self._place.mkdir(exist_ok=True)
                self._begin()
            except OSError as error:
                raise UserError(
                    f"--claim: cannot make a hard link in {self._place}: {error.strerror}; share "
                    "the questions out with --shard I/N instead"
                ) from None
            else:
                self._claims[clip] = number
                return True

    def release(self, clip: str) -> None:
        """Gives a clip back: its lines are there, or it is left to others."""
        for number in range(self._claims.pop(clip, -1) + 1):
            self._claim(clip, number).unlink(missing_ok=True)

    def _claim(self, clip: str, number: int) -> Path:
        return self._place / f"{digest_of(clip, 12).hex()}.{number}"

    def _is_alive(self, claim: Path) -> bool | None:
        """Returns whether the worker of a claim lives; None where the claim is gone."""
        try:
            alive = _lives_here(claim)
            status = claim.stat()
        except FileNotFoundError:
            return None
        if alive is not None:
            return alive
        # By this machine's clock alone: those of others may differ.
        now, file = time.monotonic(), (status.st_dev, status.st_ino)
        touched, since = self._seen.get(file, (None, now))
        if touched != status.st_mtime_ns:
            self._seen[file] = status.st_mtime_ns, now
            return True
        return now - since < _DEAD_AFTER

    def _begin(self) -> None:
        self._file: TextIO = open(self._place / self._name, "w")  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)
        json.dump({"started": self.started, "boot": _boot()}, self._file)
        self._file.flush()

    def _live(self) -> None:
        while not self._left.wait(_TOUCHED_EVERY):
            with contextlib.suppress(OSError):  # what a network's file system refuses passes
                os.utime(self._place / self._name)


def living(folder: Path) -> list[dict[str, Any]]:
    """Returns what is known of each process at work in a folder: when its session `started`."""
    found = []
    for file in (folder / _FOLDER).glob("*.alive"):
        with contextlib.suppress(OSError, ValueError):
            alive = _lives_here(file)
            if alive or (alive is None and time.time() - file.stat().st_mtime < _DEAD_AFTER):
                found.append(json.loads(file.read_text()))
    return [facts for facts in found if isinstance(facts, dict)]


def _lives_here(file: Path) -> bool | None:
    """Returns whether a worker of this machine lives; None of those of others."""
    with file.open() as opened:
        try:
            facts = json.load(opened)
        except ValueError:  # it is just beginning
            return None
        if not isinstance(facts, dict) or facts.get("boot") != _boot():
            return None
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _boot() -> str:
    return _BOOT.read_text().strip() if _BOOT.exists() else socket.gethostname()
