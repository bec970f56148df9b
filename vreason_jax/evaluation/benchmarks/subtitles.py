"""Subtitles: SubRip files, and the lines that are said while a chosen frame is on the screen."""

import dataclasses
import functools
import html
import re
from collections.abc import Iterable
from pathlib import Path

from vreason_jax.errors import UserError, reason_of
from vreason_jax.evaluation.benchmarks.locate import below
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.regular_files import read_bytes

_TIME = r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2})(?:[,.](\d{1,3}))?"  # WebVTT leaves hours out
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


@dataclasses.dataclass(frozen=True)
class Line:
    """Words that stand on the screen from `start` to `end`, in seconds."""

    start: float
    end: float
    text: str


def read_srt(file: Path) -> tuple[Line, ...]:
    """Returns the lines of an .srt file in the order of their starts, without markup.

    Raises UserError for a file that cannot be read, or that holds no times.
    """
    try:
        text = read_bytes(file).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{file}: expected a readable subtitle file: {reason_of(error)}") from None
    lines = parse_srt(text)
    if not lines and text.strip():
        raise UserError(f"{file}: expected subtitles with times (SubRip), found none")
    return lines


@functools.lru_cache(maxsize=16)  # questions about one clip share its subtitles, and each asks
def parse_srt(text: str) -> tuple[Line, ...]:
    """Returns the lines of SubRip text; numbers and blank lines may be missing or too many."""
    found: list[tuple[float, float, list[str]]] = []
    for line in text.splitlines():
        times = _TIMES.match(line)
        if times:
            groups = times.groups()
            if found and found[-1][2] and found[-1][2][-1].strip().isdigit():
                found[-1][2].pop()  # the number of this one, with no blank line before it
            found.append((_seconds(groups[:4]), _seconds(groups[4:]), []))
        elif found:
            found[-1][2].append(line)
    lines = [Line(start, end, _words(words)) for start, end, words in found]
    return tuple(sorted((line for line in lines if line.text), key=lambda line: line.start))


def lines_at(lines: Iterable[Line], times: Iterable[float]) -> list[str]:
    """Returns the words of the lines that are on the screen at one of `times`, in seconds.

    Each line comes once, and one that repeats the words before it (rolling captions) is left out.
    """
    moments = sorted(times)
    words: list[str] = []
    for line in lines:
        if any(line.start <= time <= line.end for time in moments) and words[-1:] != [line.text]:
            words.append(line.text)
    return words


def text_at(
    record: Record, data_dir: str | Path, times: Iterable[float], *, allow_outside: bool = False
) -> str:
    """Returns the subtitles of a record at `times`, one per line; "" where it has none."""
    if record.subtitles is None:
        return ""
    file = below(data_dir, record.subtitles, allow_outside=allow_outside)
    return "\n".join(lines_at(read_srt(file), times))


def _words(lines: list[str]) -> str:
    kept = [html.unescape(_MARKUP.sub("", line)).strip() for line in lines]
    return " ".join(line for line in kept if line)


def _seconds(groups: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = groups
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + int((fraction or "0").ljust(3, "0")) / 1000
