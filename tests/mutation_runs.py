"""What a damaged input leads to: a result, one clear line, or a fault that is named.

A `Target` says what is damaged and how it is used. `try_one` runs in this process; a crash or a
hang of native code ends it, so scripts/mutate.py runs it in workers that may die.
"""

import contextlib
import dataclasses
import os
import random
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from mutators import damage_bytes

from vreason_jax.errors import UserError

TAKEN, REFUSED = "taken", "refused"
LONGEST_REASON = 2000  # characters, with the path of the file
SECONDS = 30.0
MEMORY = 4 * 2**30  # bytes that one use may add to the process's peak


@dataclasses.dataclass(frozen=True)
class Target:
    """A kind of input: how a sound sample is made, which file is damaged, how it is used."""

    name: str
    prepare: Callable[[Path], Any]  # fills a new folder
    files: Callable[[Path], list[Path]]  # of the folder, those to damage
    use: Callable[[Path], Any]  # reads the folder; raises UserError to refuse
    damage: Callable[[bytes, random.Random], tuple[bytes, str]] = damage_bytes
    same: bool = False  # what is taken must equal what the sound sample gave


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one damaged input. Anything but taken and refused is a fault."""

    kind: str
    change: str
    detail: str = ""

    @property
    def fault(self) -> bool:
        """Returns whether this must not happen."""
        return self.kind not in (TAKEN, REFUSED)


class _HangError(BaseException):
    pass


class Trial:
    """One target's sound sample, damaged again and again; a context manager."""

    def __init__(self, target: Target):
        self._target = target

    def __enter__(self) -> "Trial":
        self._place = Path(tempfile.mkdtemp(prefix="mutation-"))
        self._sound = self._place / "sound"
        self._sound.mkdir()
        self._target.prepare(self._sound)
        self._expected = self._target.use(self._sound)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self._place, ignore_errors=True)

    def try_one(self, seed: int) -> Outcome:
        """Damages a copy of the sample as `seed` says, uses it, and returns what came of it."""
        rng = random.Random(f"{self._target.name} {seed}")
        # Always of one name: what was tried out by its content and place is not tried again.
        folder = self._place / "damaged"
        shutil.copytree(self._sound, folder, symlinks=True)
        file = rng.choice(self._target.files(folder))
        data, change = self._target.damage(file.read_bytes(), rng)
        file.write_bytes(data)
        change = f"{file.relative_to(folder)}: {change}"[:200]
        try:
            return self._watch(folder, change)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _watch(self, folder: Path, change: str) -> Outcome:
        files, descriptors, peak = _listing(self._place), _descriptors(), _peak()
        children = _children()
        kind, detail = self._use(folder)
        if kind in (TAKEN, REFUSED):
            for fault, found in (
                ("descriptor", _descriptors() - descriptors),
                ("child", _children() - children),
                ("written", _listing(self._place) ^ files),
                ("memory", max(0, _peak() - peak - MEMORY)),
            ):
                if found:
                    kind, detail = fault, f"{found}"[:300]
        return Outcome(kind, change, detail)

    def _use(self, folder: Path) -> tuple[str, str]:
        try:
            with _deadline(SECONDS):
                result = self._target.use(folder)
        except UserError as error:
            return _judge_refusal(str(error))
        except _HangError:
            return "hang", f"{SECONDS} s"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return "traceback", f"{type(error).__name__}: {error}"[:300]
        if self._target.same and result != self._expected:
            return "other", "it was taken, and read as something else"
        return TAKEN, ""


def _judge_refusal(reason: str) -> tuple[str, str]:
    if len(reason.splitlines()) != 1 or not reason.isprintable():
        return "lines", reason[:300]
    if len(reason) > LONGEST_REASON:
        return "long", reason[:300]
    return REFUSED, reason[:300]


@contextlib.contextmanager
def _deadline(seconds: float):
    def stop(*_):
        raise _HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _descriptors() -> set[str]:
    """Open descriptors by number and target; those of the listing itself are gone again."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return found


def _children() -> set[psutil.Process]:
    """Processes below this one, zombies too."""
    return set(psutil.Process().children(recursive=True))


def _listing(folder: Path) -> set[tuple[str, int]]:
    """Names and sizes of all files."""
    return {(str(p), p.lstat().st_size) for p in folder.rglob("*") if not p.is_dir()}


def _peak() -> int:
    """The most memory so far of this process or of a child that ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(usage.ru_maxrss for usage in usages) * 1024
