"""What the readers check of a row's fields; every check ends in a BrokenRowError that says why."""

import math
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from vreason_jax.evaluation.readers.rows import BrokenRowError, shown

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTER = re.compile(r"([A-Z])[.):]")


def text(fields: dict[str, Any], key: str) -> str:
    """Returns a text that is not blank."""
    value = fields.get(key)
    if key not in fields:
        raise BrokenRowError(f"{key!r} is missing")
    if not isinstance(value, str) or not value.strip():
        raise BrokenRowError(f"{key!r}: expected text, got {shown(value)}")
    return value


def optional_text(fields: dict[str, Any], key: str) -> str:
    """Returns a text, "" where there is none."""
    value = fields.get(key)
    return value.strip() if isinstance(value, str) else ""


def native_id(fields: dict[str, Any], key: str) -> str:
    """Returns an id that is a text or a whole number."""
    value = fields.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(fields, key).strip()


def texts(fields: dict[str, Any], key: str, *, needed: bool = True) -> list[str]:
    """Returns a list of texts; none and a missing key count as an empty one unless `needed`."""
    value = fields.get(key)
    if value is None and not needed:
        return []
    if key not in fields:
        raise BrokenRowError(f"{key!r} is missing")
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BrokenRowError(f"{key!r}: expected a list of texts, got {shown(value)}")
    if needed and len(value) < 2:
        raise BrokenRowError(f"{key!r}: expected two or more, got {shown(value)}")
    return value


def lettered(options: Sequence[str]) -> tuple[str, ...]:
    """Returns options as "A. a cup"; those that begin with their letters already stay."""
    if len(options) > len(LETTERS):
        raise BrokenRowError(f"expected at most {len(LETTERS)} options, got {len(options)}")
    if letters_of(options) == LETTERS[: len(options)]:
        return tuple(options)
    return tuple(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


def letters_of(options: Sequence[str]) -> str:
    """Returns the letters that options begin with, "" where one begins without."""
    found = [_LETTER.match(option) for option in options]
    return "".join(match.group(1) for match in found if match) if all(found) else ""


def gold_letter(value: Any, options: Sequence[str]) -> str:
    """Returns a gold letter of one of `options`, given as "B", "(B)", "B." or "B. a cup"."""
    gold = value.strip() if isinstance(value, str) else ""
    match = re.fullmatch(r"\(?([A-Z])\)?(?:[.:)](?:\s.*)?)?", gold, re.DOTALL)
    letters = letters_of(options)
    if match is None or match.group(1) not in letters:
        raise BrokenRowError(
            f"unknown gold letter: expected one of {', '.join(letters)}, got {shown(value)}"
        )
    return match.group(1)


def number_text(value: Any) -> str:
    """Returns a number as it is written, commas and all."""
    written = str(value).strip() if isinstance(value, (str, int, float)) else ""
    try:
        if isinstance(value, bool) or not math.isfinite(float(written.replace(",", ""))):
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


def below_the_folder(path: str, key: str = "path") -> str:
    """Returns a path below the data folder: "./videos/1.mp4" -> "videos/1.mp4"."""
    parts = [p for p in PurePosixPath(path.replace("\\", "/")).parts if p not in ("/", ".")]
    if not parts or ".." in parts or "\0" in path:
        raise BrokenRowError(f"{key!r}: expected a path below the data folder, got {shown(path)}")
    return "/".join(parts)
