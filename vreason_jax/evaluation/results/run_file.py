"""`run.json`: the settings of a folder's answers, and the sessions that made them.

Several processes may write to it, also of several machines.
"""

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.json_files import read_json
from vreason_jax.output.files import write_json
from vreason_jax.output.trace import to_plain

FILE = "run.json"
TRACES = "traces"  # the folder beside it, which a run makes first
Facts = Mapping[str, Any]

# What is read of it again, each key with its kind: a type, a dict of kinds by key (EACH: of every
# key), a list of one kind, or a tuple of kinds of which one must fit. Keys may be missing.
EACH, _NONE, _ANY = "*", type(None), object
_NUMBER = (int, float, _NONE)
_KINDS = {
    "methods": {EACH: {EACH: {EACH: _ANY}, "controller": {"ema_decay": _NUMBER, EACH: _ANY}}},
    "identity": {"common": {EACH: _ANY}, "methods": {EACH: {EACH: _ANY}}},
    "sessions": [
        {
            "seconds": ({EACH: (*_NUMBER, {EACH: _NUMBER})}, _NONE),
            "counts": ({EACH: _NUMBER}, _NONE),
            "programs": ({EACH: _NUMBER}, _NONE),
            "controller_share": ({EACH: _NUMBER}, _NONE),
            "peak_bytes": _NUMBER,
            EACH: _ANY,
        }
    ],
    "seeds": [int],
    "notes": [str],
    "parts": [str],
    "versions": ({EACH: _ANY}, _NONE),
    EACH: _ANY,
}


def read_facts(folder: Path) -> dict[str, Any]:
    """Returns the content of a folder's `run.json`, {} where there is none.

    Raises UserError for a file that this program has not written.
    """
    facts = read_json(folder / FILE)
    wrong = _misfit(facts, _KINDS)
    if wrong:
        raise UserError(f"{folder / FILE}: expected what a run has written, got {wrong}")
    return facts


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns "key: old there, new here" for each difference between two mappings."""
    return [
        f"{prefix}{key}: {shown(old.get(key))} there, {shown(new.get(key))} here"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]


def begin(folder: Path, join: Callable[[Facts], Facts], also: Callable[[], None]) -> None:
    """Records a run that begins: what `join` makes of the facts, with all methods and seeds so far.

    `also` is done before, while no other run can begin.
    """
    with _changing(folder) as old:
        facts = join(old)
        also()
        methods = {**old.get("methods", {}), **facts["methods"]}
        seeds = list(dict.fromkeys([*old.get("seeds", []), *facts["seeds"]]))
        sessions = old.get("sessions", [])
        parts = list(dict.fromkeys([*old.get("parts", []), *facts["parts"]]))
        joined = {"methods": methods, "seeds": seeds, "parts": parts, "sessions": sessions}
        old.update({**facts, **joined})


def note(folder: Path, session: Facts) -> None:
    """Adds a session, or replaces its earlier entry."""
    with _changing(folder) as old:
        same = ("started", "process")
        others = [s for s in old["sessions"] if any(s.get(k) != session[k] for k in same)]
        old["sessions"] = [*others, session]


@contextlib.contextmanager
def sole_run(folder: Path, run: str, part: str | None = None, *, alone=True) -> Iterator[bool]:
    """Locks a folder for one run; a second one would answer everything again.

    Runs of a `part` share the folder with those of others and, unless `alone`, of the same part.
    Gives whether this process holds the lock: another one of the same `run` may. Raises UserError
    if another program does.
    """
    with contextlib.ExitStack() as locks:
        held = True
        if part is not None or not alone:
            whole = locks.enter_context(_lock_file(folder / ".lock"))
            _lock(whole, fcntl.LOCK_SH, folder, run)
        if alone:
            name = ".lock" if part is None else f".lock-{part.replace('/', '-of-')}"
            held = _lock(locks.enter_context(_lock_file(folder / name)), fcntl.LOCK_EX, folder, run)
        yield held


def _lock(lock: TextIO, kind: int, folder: Path, run: str) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        if lock.read() == run:
            return False
        raise UserError(
            f"--out: another evaluation is at work in {folder}; wait for its end, give another "
            "folder, or share the work out with --claim or --shard in all of them"
        ) from None
    if kind == fcntl.LOCK_EX:
        lock.truncate(0)
        lock.write(run)
        lock.flush()
    return True


@contextlib.contextmanager
def _changing(folder: Path) -> Iterator[dict[str, Any]]:
    with _lock_file(folder / ".run.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        facts = read_facts(folder)
        yield facts
        write_json(folder / FILE, to_plain(facts))


@contextlib.contextmanager
def _lock_file(path: Path) -> Iterator[Any]:
    try:
        lock = open(path, "a+")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"--out: cannot write {path}: {one_line(error.strerror)}") from None
    with lock:
        yield lock


def _misfit(value: Any, kind: Any, key: str = "") -> str:
    """Says which value is not of its kind; "" where all are."""
    misfit = f"{shown(key)}: {shown(value)}"
    if isinstance(kind, type):
        return "" if isinstance(value, kind) else misfit
    if isinstance(kind, tuple):
        return misfit if all(_misfit(value, each, key) for each in kind) else ""
    if not isinstance(value, type(kind)):
        return misfit
    kinds = kind if isinstance(kind, dict) else {EACH: kind[0]}
    items = value.items() if isinstance(value, dict) else ((key, part) for part in value)
    misfits = (_misfit(part, kinds.get(name, kinds.get(EACH, _ANY)), name) for name, part in items)
    return next(filter(None, misfits), "")
