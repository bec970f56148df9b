"""The lines of a run: whole lines are appended, torn ones are cut off."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.evaluation.results.lines import BAD_VIDEO, PREDICTIONS
from vreason_jax.json_files import parse_json
from vreason_jax.output.files import write_atomic
from vreason_jax.regular_files import check_regular
from vreason_jax.runtime import distributed


class Key(NamedTuple):
    """The identity of a line: there is one line per key."""

    id: str
    method: str
    seed: int
    config_hash: str


class LineFile:
    """A file of JSON objects, one per line, to which several processes of a machine append.

    Only whole lines count: a last line that a kill or a full disk has torn is cut off.
    """

    def __init__(self, path: Path):
        self.path = path
        self._descriptor: int | None = None

    def read(self, keep: Callable[[dict], bool] = lambda line: True) -> list[dict[str, Any]]:
        """Returns the whole lines, after cutting off a torn one.

        Removes lines that `keep` refuses from the file and does not return them. Call it before any
        process appends. Raises UserError for a file that this program has not written.
        """
        if not self.path.exists():
            return []
        with _refusals(self.path), _locked(self.path) as file:
            text, whole = _whole_lines(file.read())
            if len(whole) < len(text):
                file.truncate(len(whole))
            lines = [self._parse(line, n) for n, line in enumerate(whole.splitlines(), start=1)]
            kept = [line for line in lines if keep(line)]
            if len(kept) < len(lines):
                data = b"".join(map(_encode, kept))
                write_atomic(self.path, lambda file: file.write(data))
        return kept

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds a line; raises UserError and adds nothing if the disk does not take all of it.

        The line has left this process when this returns, so that a kill does not lose it.
        """
        data = _encode(line)
        with _refusals(self.path), _held(self._open()) as descriptor:
            size = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
                if written < len(data):  # a full disk takes a part first, and refuses the rest
                    os.write(descriptor, data[written:])
            except OSError:
                os.ftruncate(descriptor, size)
                raise

    def close(self) -> None:
        """Closes the file; appending opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        # Not before the first line: another process may still replace the file as it reads it.
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        return self._descriptor

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            value = parse_json(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise UserError(f"{self.path}:{number}: expected a JSON object a line, got another")
        return value


class Predictions:
    """`predictions.jsonl` of a run's folder, and the set of answers in it."""

    def __init__(self, folder: Path, *, retry_failed: bool = False):
        """Reads the answers in the folder. With `retry_failed`, removes lines of video failures."""
        self.file = LineFile(folder / PREDICTIONS)
        failures = BAD_VIDEO if retry_failed else ()
        lines = self.file.read(lambda line: line.get("status") not in failures)
        self.done = {self._key(line) for line in lines}
        self.failed = {line["id"] for line in lines if line.get("status") in BAD_VIDEO}

    def add(self, line: Mapping[str, Any]) -> None:
        """Appends the line of an answer."""
        self.file.append(line)
        self.done.add(self._key(line))

    def share(self, keys: Sequence[Key]) -> None:
        """Shares the answered keys among all processes, which must plan alike."""
        mine = np.array([(key in self.done) + (key.id in self.failed) for key in keys], np.uint8)
        everyone = distributed.largest(mine)
        self.done |= {key for key, state in zip(keys, everyone, strict=True) if state}
        self.failed = {key.id for key, state in zip(keys, everyone, strict=True) if state == 2}

    def _key(self, line: Mapping[str, Any]) -> Key:
        for name in Key._fields:
            if type(line.get(name)) not in (str, int):
                raise UserError(
                    f"{self.file.path}: expected lines of this program, one has no {name!r}"
                )
        return Key(*(line[name] for name in Key._fields))


def _encode(line: Mapping[str, Any]) -> bytes:
    # Escaped, as undecodable bytes of a path are lone surrogates, which UTF-8 cannot hold.
    return json.dumps(line, allow_nan=False).encode() + b"\n"


def _whole_lines(text: bytes) -> tuple[bytes, bytes]:
    """Returns the text, and the text without a torn last line."""
    whole = text[: text.rfind(b"\n") + 1]
    if whole:
        last = whole[whole.rfind(b"\n", 0, -1) + 1 :]
        try:
            parse_json(last)
        except ValueError:  # a crash of the machine can leave zeros in place of the line
            whole = whole[: len(whole) - len(last)]
    return text, whole


@contextlib.contextmanager
def _locked(path: Path) -> Iterator:
    check_regular(path)
    with path.open("r+b") as file, _held(file.fileno()):
        yield file


@contextlib.contextmanager
def _held(descriptor: int) -> Iterator[int]:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield descriptor
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--out: cannot write {path}: {error.strerror}; mend that and run the same command "
            "again, it goes on from here"
        ) from None
