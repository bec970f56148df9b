"""What the readers check of a row's fields; every check ends in a BrokenRowError that says why."""

import math
import re
import unicodedata
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from vreason_jax.errors import one_line, shown
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, whole

LONGEST_NAME = 255  # bytes of a file name, as file systems have it
LONGEST_PATH = 1024  # bytes; with the data folder before it a path may have 4096
_THOUSANDS = re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f]")


def text(fields: dict[str, Any], key: str) -> str:
    """Returns a text that is not blank."""
    value = fields.get(key)
    if key not in fields:
        raise BrokenRowError(f"{key!r} is missing")
    if not isinstance(value, str) or not value.strip():
        raise BrokenRowError(f"{key!r}: expected text, got {shown(value)}")
    return whole(value, key)


def one_of(fields: dict[str, Any], key: str, known: Collection[str], words: str) -> str:
    """Returns a text that is one of `known`, which the message calls `words`."""
    value = text(fields, key)
    if value not in known:
        raise BrokenRowError(f"{key!r}: expected {words}, got {shown(value)}")
    return value


def optional_text(fields: dict[str, Any], key: str) -> str:
    """Returns a text, "" where there is none."""
    value = fields.get(key)
    return whole(value.strip(), key) if isinstance(value, str) else ""


def native_id(fields: dict[str, Any], key: str) -> str:
    """Returns an id that is a text or a whole number."""
    value = fields.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    name = text(fields, key).strip()
    if _NO_NAME.search(name):
        raise BrokenRowError(f"{key!r}: expected an id of printable characters, got {shown(name)}")
    return name


def number_text(value: Any) -> str:
    """Returns a number as it is written, commas between thousands and all."""
    known = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    written = unicodedata.normalize("NFKC", str(value) if known else "").strip()
    written = written.replace("\u2212", "-")
    try:
        if "," in written and not _THOUSANDS.fullmatch(written):
            raise ValueError
        if not math.isfinite(float(written.replace(",", ""))):
            raise ValueError
    except ValueError:
        raise BrokenRowError(f"expected a number as the answer, got {shown(value)}") from None
    return written


def seconds(fields: dict[str, Any], key: str) -> float | None:
    """Returns a time in seconds, or None."""
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
        raise BrokenRowError(f"{key!r}: expected seconds from 0, got {shown(value)}")
    return float(value)


def times(fields: dict[str, Any], *, needed: bool = False) -> tuple[float | None, float | None]:
    """Returns where the part of a video begins and ends; None for a time that is not `needed`."""
    start, end = seconds(fields, "start"), seconds(fields, "end")
    wrong = needed if start is None or end is None else end <= start
    if wrong:
        raise BrokenRowError(
            f"'start', 'end': expected two times in order, got {shown([start, end])}"
        )
    return start, end


def below_the_folder(path: str, key: str = "path") -> str:
    """Returns a path below the data folder: "./videos/1.mp4" -> "videos/1.mp4"."""
    parts = [
        p for p in PurePosixPath(path.replace("\\", "/")).parts if p.strip("/") not in ("", ".")
    ]
    if not parts or ".." in parts or _NO_NAME.search(path):
        raise BrokenRowError(f"{key!r}: expected a path below the data folder, got {shown(path)}")
    sizes = [len(part.encode()) for part in parts]
    if max(sizes) > LONGEST_NAME or sum(sizes) + len(sizes) > LONGEST_PATH:
        raise BrokenRowError(
            f"{key!r}: expected names of at most {LONGEST_NAME} bytes and a path of at most "
            f"{LONGEST_PATH}, got {shown(path)}"
        )
    return "/".join(parts)


def address_path(address: str, key: str) -> str:
    """Returns the path of an address, its escapes undone; a plain path as it is."""
    if "://" not in address:
        return address
    return whole(unquote(_split(address, key).path), key)


def address_value(address: str, name: str, key: str) -> str:
    """Returns a value of an address's query, "" where it has none."""
    return parse_qs(_split(address, key).query).get(name, [""])[0]


def _split(address: str, key: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise BrokenRowError(f"{key!r}: {one_line(error)}, got {shown(address)}") from None
