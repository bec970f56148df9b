"""Files of JSON lines to which several processes append: whole lines count, torn ones do not."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from vreason_jax.errors import UserError
from vreason_jax.json_files import parse_json
from vreason_jax.output.files import write_atomic
from vreason_jax.regular_files import check_regular

T = TypeVar("T")
Parse = Callable[[Any, Path, int], T]  # of a line's JSON value, its file and number


def whole_lines(data: bytes) -> bytes:
    """Returns what was written whole: all but a torn end.

    A last line is whole without its line break, too, and one of zeros, which a crash of the machine
    can leave in its place, is not.
    """
    end = data.rfind(b"\n", 0, -1) + 1
    return data if _value(data[end:]) is not None else data[:end]


def parse_lines(data: bytes, path: Path, parse: Parse[T], before: int = 0) -> list[T]:
    """Returns the lines as `parse` has them, `before` lines of the file being known already.

    Raises UserError with the line's place where it is no JSON object.
    """
    parsed = []
    for number, line in enumerate(data.split(b"\n"), before + 1):
        if line.strip():
            value = _value(line)
            if value is None:
                where = f"{path}, line {number}"
                raise UserError(f"{where}: expected a JSON object, got something else")
            parsed.append(parse(value, path, number))
    return parsed


class LineFile(Generic[T]):
    """A file of JSON objects, one per line.

    The lines that others add are seen, and no two processes write at once, also on other machines,
    as far as the file system keeps locks.
    """

    def __init__(self, path: Path, parse: Parse[T]):
        self.path, self._parse = path, parse
        self._known, self._count = 0, 0  # bytes and lines that were returned,
        self._file: tuple[int, int] | None = None  # of this one

    @property
    def empty(self) -> bool:
        """Whether no line of it is known."""
        return not self._count

    def new(self) -> list[T]:
        """Returns the lines that came since the last call; cuts a torn end off.

        Raises UserError for a file that this program has not written.
        """
        if not self.path.exists():
            return []
        with self._locked() as descriptor:
            return self._read(descriptor)

    def append(self, choose: Callable[[list[T]], Sequence[Mapping[str, Any]]]) -> None:
        """Adds the lines that `choose` returns, which is given the new ones of others.

        Raises UserError and adds nothing if the disk does not take all of them. They have left this
        process when this returns, so that a kill does not lose them.
        """
        with self._locked() as descriptor:
            lines = choose(self._read(descriptor))
            data = b"".join(map(_encode, lines))
            try:
                written = os.write(descriptor, data)
                if written < len(data):  # a full disk takes a part first, and refuses the rest
                    os.write(descriptor, data[written:])
            except OSError:
                os.ftruncate(descriptor, self._known)
                raise
            self._known, self._count = self._known + len(data), self._count + len(lines)

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Removes all lines but those wanted from the file."""
        if not self.path.exists():
            return
        with self._locked() as descriptor:
            self._known = self._count = 0
            rows = list(enumerate(self._whole(descriptor).splitlines(keepends=True)))
            rows = [(number, row) for number, row in rows if row.strip()]
            kept = [
                row
                for number, row in rows
                if wanted(parse_lines(row, self.path, self._parse, number)[0])
            ]
            if len(kept) < len(rows):
                write_atomic(self.path, lambda file: file.write(b"".join(kept)))

    def _read(self, descriptor: int) -> list[T]:
        whole = self._whole(descriptor)
        lines = parse_lines(whole, self.path, self._parse, self._count)
        # Not before it is known to be a file of ours:
        os.ftruncate(descriptor, self._known + len(whole))
        if whole and not whole.endswith(b"\n"):
            whole += b"\n"
            os.write(descriptor, b"\n")
        self._known, self._count = self._known + len(whole), self._count + whole.count(b"\n")
        return lines

    def _whole(self, descriptor: int) -> bytes:
        """Returns the whole lines behind what is known."""
        size = os.fstat(descriptor).st_size
        if size < self._known:  # somebody cut it
            self._known = self._count = 0
        data = b""
        while more := os.pread(descriptor, size - self._known - len(data), self._known + len(data)):
            data += more
        return whole_lines(data)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Gives a descriptor of the file, locked; other machines see what was written after it."""
        try:
            descriptor = self._open()
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UserError(
                f"--out: cannot write {self.path}: {error.strerror}; mend that and run the same "
                "command again, it goes on from here"
            ) from None

    def _open(self) -> int:
        while True:
            if self.path.exists():
                check_regular(self.path)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.path, flags, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            mine = os.fstat(descriptor)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(mine, os.stat(self.path)):
                    if self._file != (mine.st_dev, mine.st_ino):  # `keep` has replaced it
                        self._known = self._count = 0
                    self._file = mine.st_dev, mine.st_ino
                    return descriptor
            os.close(descriptor)  # replaced while this waited for the lock


def _encode(line: Mapping[str, Any]) -> bytes:
    # Escaped, as undecodable bytes of a path are lone surrogates, which UTF-8 cannot hold.
    return json.dumps(line, allow_nan=False).encode() + b"\n"


def _value(line: bytes) -> dict[str, Any] | None:
    """Returns the object that a line holds, or None if it holds none."""
    try:
        value = parse_json(line)
    except ValueError:  # also of bytes that are no UTF-8
        return None
    return value if isinstance(value, dict) else None
