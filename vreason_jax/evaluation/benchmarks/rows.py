"""Annotation files as rows, each with the place where it stands: JSON, JSON lines and Parquet."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vreason_jax.errors import LONGEST_VALUE, UserError, one_line, reason_of, shown
from vreason_jax.json_files import decode_json, parse_json
from vreason_jax.regular_files import check_regular, read_text

SUFFIXES = (".json", ".jsonl", ".parquet")
PICTURES = ("image", "images", "video_bytes")  # columns of pixels, which no reader needs
LARGEST = 2**32  # bytes of an annotation file
_SPACE = re.compile(r"[\s,]*")


class BrokenRowError(Exception):
    """A row that is no question; the message is the reason."""


def whole(text: str, key: str) -> str:
    """Returns a text that is valid Unicode: half a surrogate pair can be neither read nor named."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BrokenRowError(f"{key!r}: expected valid Unicode, got {shown(text)}") from None
    return text


@dataclasses.dataclass(frozen=True)
class Row:
    """One entry of an annotation file."""

    file: Path
    place: str  # "12" for a line, "row 12" in a Parquet file
    keys: tuple[str, ...]  # the way to it: ("Adaptation", "13"), or its number in an array
    value: Any
    error: str = ""  # why it cannot be parsed

    def refusal(self, reason: object) -> str:
        """Returns "file:line: entry: reason"."""
        entry = one_line("/".join(self.keys), LONGEST_VALUE)
        return f"{self.file}:{self.place}: entry {entry}: {reason}"

    def fields(self) -> dict[str, Any]:
        """Returns the row's object; raises BrokenRowError where it is none, or has no real name."""
        if self.error:
            raise BrokenRowError(self.error)
        for name in self.keys:
            whole(name, "key")
        if not isinstance(self.value, dict):
            raise BrokenRowError(f"expected an object, got {shown(self.value)}")
        return self.value


def read_rows(file: Path, object_depth: int = 1) -> Iterator[Row]:
    """Yields the rows of a file: what an array holds, each line, or each row of a table.

    Args:
      file: its suffix tells the format.
      object_depth: how many levels of keys lie above the rows where a JSON file opens with an
        object instead of an array.

    A part that cannot be parsed comes as a row with an `error`. Raises UserError for a file that
    cannot be read, and for Parquet without pyarrow.
    """
    if file.suffix.lower() == ".parquet":
        yield from _parquet_rows(file)
        return
    try:
        text = read_text(file, LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_of(error)
        raise UserError(f"{file}: expected a readable annotation file: {reason}") from None
    if (file.suffix.lower() == ".jsonl" and not _is_list(text)) or _is_lines(text):
        yield from _line_rows(file, text)
    else:
        start = _skip(text, 0)
        depth = 1 if text[start : start + 1] == "[" else object_depth
        yield from _Scan(file, text).rows_of_all(start, depth)


def _is_lines(text: str) -> bool:
    """Whether a text is JSON lines, whatever its file is called: objects, one on each line."""
    start = _skip(text, 0)
    end = text.find("\n", start)
    if text[start : start + 1] != "{" or end < 0 or _skip(text, end) == len(text):
        return False
    try:
        parse_json(text[start:end])
    except ValueError:
        return False
    return True


def _is_list(text: str) -> bool:
    """Whether a text is a list of objects, whatever its file is called."""
    try:
        value = parse_json(text) if text.lstrip().startswith("[") else None
    except ValueError:
        return False
    return bool(value) and all(isinstance(row, dict) for row in value)


def _line_rows(file: Path, text: str) -> Iterator[Row]:
    number = 0
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        number += 1
        try:
            value, error = parse_json(content), ""
        except ValueError as problem:
            value, error = None, f"not JSON: {one_line(problem)}"
        yield Row(file, str(line), (str(number),), value, error)


class _Scan:
    """Walks a JSON text entry by entry, so that each one's line is known."""

    def __init__(self, file: Path, text: str):
        self._file, self._text = file, text
        self._line, self._counted = 1, 0
        self.end = 0
        self._failed = False

    def rows_of_all(self, start: int, depth: int) -> Iterator[Row]:
        """Yields the rows of the whole text, and what stands behind them as one that is broken."""
        yield from self.rows(start, (), depth)
        rest = _skip(self._text, self.end)
        if rest < len(self._text):
            reason = f"not JSON, expected the end: {shown(self._text[rest : rest + 80])}"
            yield Row(self._file, self._line_of(rest), ("end",), None, reason)

    def rows(self, start: int, keys: tuple[str, ...], depth: int) -> Iterator[Row]:
        """Yields the rows `depth` levels below what opens at `start`; leaves `end` behind it."""
        self.end = start
        try:
            if depth and self._text[start : start + 1] in ("[", "{"):
                yield from self._entries(start, keys, depth)
            else:
                line = self._line_of(start)
                value, self.end = decode_json(self._text, start)
                yield Row(self._file, line, keys, value)
        except ValueError as problem:
            reason = f"not JSON, so nothing is read from here on: {one_line(problem)}"
            self._failed = True
            yield Row(self._file, self._line_of(start), keys or ("1",), None, reason)
            self.end = len(self._text)

    def _entries(self, start: int, keys: tuple[str, ...], depth: int) -> Iterator[Row]:
        closing = "]" if self._text[start] == "[" else "}"
        position, number = _skip(self._text, start + 1), 0
        while position < len(self._text) and self._text[position] != closing:
            number += 1
            name = str(number)
            if closing == "}":
                name, position = decode_json(self._text, position)
                colon = _skip(self._text, position)
                if not isinstance(name, str) or self._text[colon : colon + 1] != ":":
                    raise json.JSONDecodeError("expected a key and ':'", self._text, colon)
                position = _skip(self._text, colon + 1)
            yield from self.rows(position, (*keys, name), depth - 1)
            position = _skip(self._text, self.end)
        if position >= len(self._text) and not self._failed:
            raise json.JSONDecodeError(f"expected {closing!r}", self._text, position)
        self.end = max(self.end, min(position + 1, len(self._text)))

    def _line_of(self, position: int) -> str:
        if position >= self._counted:  # positions mostly ascend, so each newline is counted once
            self._line += self._text.count("\n", self._counted, position)
            self._counted = position
            return str(self._line)
        return str(self._text.count("\n", 0, position) + 1)


def _skip(text: str, position: int) -> int:
    """Returns the next position that holds neither space nor comma."""
    match = _SPACE.match(text, position)
    assert match is not None  # it also matches nothing at all
    return match.end()


def _parquet_rows(file: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError(
            f"{file}: expected pyarrow, which reads Parquet files, and it is not installed; "
            "pip install 'vreason-jax[parquet]', or put the .json or .jsonl file beside it"
        ) from None
    try:
        check_regular(file)
        table = parquet.ParquetFile(file)
        columns = [name for name in table.schema_arrow.names if name not in PICTURES]
        number = 0
        for batch in table.iter_batches(columns=columns):
            for value in batch.to_pylist():
                number += 1
                yield Row(file, f"row {number}", (str(number),), value)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise UserError(f"{file}: expected a readable Parquet file: {one_line(error)}") from None
