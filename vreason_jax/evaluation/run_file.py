"""`run.json`: the settings of a folder's answers, and the sessions that made them."""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError
from vreason_jax.json_files import read_json
from vreason_jax.output.files import write_atomic
from vreason_jax.output.trace import to_plain

FILE = "run.json"


class RunFile:
    """`run.json` of a folder, to which several processes of a machine may write."""

    def __init__(self, folder: Path):
        self._path = folder / FILE
        self._lock = folder / ".run.lock"

    def read(self) -> dict[str, Any]:
        """Returns the content that a former run left, or {}."""
        return read_json(self._path)

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Records a run that begins: `facts`, with methods and seeds added to the earlier ones."""
        with self._changing() as old:
            methods = {**old.get("methods", {}), **facts["methods"]}
            seeds = list(dict.fromkeys([*old.get("seeds", []), *facts["seeds"]]))
            sessions = old.get("sessions", [])
            old.update({**facts, "methods": methods, "seeds": seeds, "sessions": sessions})

    def note(self, session: Mapping[str, Any]) -> None:
        """Adds a session, or replaces its earlier entry."""
        with self._changing() as old:
            same = ("started", "process")
            others = [s for s in old["sessions"] if any(s[key] != session[key] for key in same)]
            old["sessions"] = [*others, session]

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with open(self._lock, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            facts = self.read()
            yield facts
            text = json.dumps(to_plain(facts), indent=1, allow_nan=False)
            write_atomic(self._path, lambda file: file.write(text.encode() + b"\n"))


@contextlib.contextmanager
def sole_run(folder: Path) -> Iterator[None]:
    """Locks a folder for one run; a second one would answer everything again.

    Raises UserError if another program holds the lock.
    """
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"--out: another evaluation is at work in {folder}; wait for its end, or give "
                "another folder"
            ) from None
        yield
