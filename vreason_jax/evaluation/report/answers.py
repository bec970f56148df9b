"""The questions and answers of the page as data, which `questions.js` shows.

The data are one packed string, so that nothing in them is markup and thousands of answers stay
small. What would be too much of a long run is cut, first of all the texts.
"""

import base64
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.evaluation.benchmarks.record import clip_name
from vreason_jax.evaluation.report.markup import Markup, tag
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.svg import thin
from vreason_jax.evaluation.results.frames import read_frames
from vreason_jax.evaluation.results.lines import PREDICTIONS, STATUS_WORDS, Line

TEXTS, QUESTIONS = 9_000_000, 3_000_000  # characters of a page, the longest 4,000 each
LONGEST = 4_000
SPARKS, POINTS = 250_000, (24, 96)  # points of all traces, and of one
FRAMES, PICTURE = 3_600_000, 1_500  # bytes of all pictures, and at least of one


def packed(story: Story, place: Path, chosen: Sequence[str]) -> Markup:
    """Returns the element that holds the data of a page in the folder `place`.

    The page opens with the methods `chosen` side by side.
    """
    data = io.BytesIO()
    with gzip.GzipFile(fileobj=data, mode="wb", mtime=0) as file:
        for piece in _json(_data(story, place, chosen), depth=2):
            file.write(piece.encode(errors="replace"))
    text = base64.b64encode(data.getbuffer()).decode()
    return tag("script", text, type="application/gzip", id="data")


def _json(value: Any, depth: int) -> Iterator[str]:
    """Yields JSON piece by piece, of what lies `depth` levels below: whole it would come twice."""
    if not depth or not isinstance(value, list | dict):
        yield json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return
    named = isinstance(value, dict)
    yield "{" if named else "["
    for number, item in enumerate(value):
        yield "," if number else ""
        yield f"{json.dumps(item)}:" if named else ""
        yield from _json(value[item] if named else item, depth - 1)
    yield "}" if named else "]"


def _data(story: Story, place: Path, chosen: Sequence[str]) -> dict[str, Any]:
    lines = story.run.lines
    firsts = {line.id: line for line in reversed(lines)}
    numbers = {name: number for number, name in enumerate(dict.fromkeys(li.id for li in lines))}
    pictures = _pictures(story, [firsts[name] for name in numbers])
    questions = [_question(story, firsts[name], len(numbers)) for name in numbers]
    for name, number in numbers.items():
        questions[number]["picture"] = pictures.get(_clip(story, firsts[name]))
    return {
        "methods": [
            {"name": name, "label": story.label(name), "tone": story.tone(name)}
            for name in story.names
        ],
        "statuses": STATUS_WORDS,
        "chosen": list(chosen) or story.names[:2],
        "questions": questions,
        "answers": _columns(_answer(story, line, numbers, place) for line in lines),
    }


def _question(story: Story, line: Line, count: int) -> dict[str, Any]:
    words = story.run.questions.get(line.id, {})
    room = min(LONGEST, QUESTIONS // count)
    return {
        "id": line.id,
        "task": line.task,
        "gold": line.gold,
        "video": _clip(story, line),
        "problem": _cut(words.get("problem"), room),
        "options": [_cut(option, room) for option in words.get("options", [])],
        "prompt": _cut(words.get("prompt"), room),
    }


def _answer(story: Story, line: Line, numbers: Mapping[str, int], place: Path) -> dict[str, Any]:
    folder = os.path.relpath(line.folder, place)
    return {
        "question": numbers[line.id],
        "method": story.names.index(line.method),
        "seed": line.seed,
        "status": line.status,
        "score": round(line.score, 4),
        "answer": _cut(line.answer, LONGEST),
        "text": _cut(line.text, min(LONGEST, TEXTS // len(story.run.lines))),
        "tokens": line.tokens,
        "probability": None if (p := line.answer_probability) is None else round(p, 3),
        "file": Path(folder, PREDICTIONS).as_posix(),
        "line": line.number,
        "trace": Path(folder, "traces", line.trace).as_posix() if line.trace else None,
        "spark": story.sparks.get(line.key),
    }


def _columns(rows: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Returns a list for each key: a key is written once, not with every answer."""
    columns: dict[str, list[Any]] = {}
    for row in rows:
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    return columns


def _clip(story: Story, line: Line) -> str:
    words = story.run.questions.get(line.id, {})
    return clip_name(line.video, words.get("start"), words.get("end"))


def _pictures(story: Story, questions: Sequence[Line]) -> dict[str, dict[str, Any]]:
    """Returns the frames of the clips that a run has kept, first those where the methods part."""
    scores: dict[str, set[float]] = {}
    for line in story.run.lines:
        scores.setdefault(line.id, set()).add(line.score)
    ordered = sorted(questions, key=lambda line: len(scores[line.id]) == 1)
    clips = dict.fromkeys(_clip(story, line) for line in ordered)
    found: dict[str, dict[str, Any]] = {}
    for clip in list(clips)[: FRAMES // PICTURE]:
        limit = max(PICTURE, FRAMES // len(clips))
        read = (read_frames(folder, clip, limit) for folder in story.run.folders())
        if picture := next(filter(None, read), None):
            data, facts = picture
            found[clip] = facts | {"jpeg": base64.b64encode(data).decode()}
    return found


def _cut(text: str | None, room: int) -> str | None:
    more = len(text or "") - room
    return text if text is None or more <= 0 else f"{text[:room]} … [{more:,} more characters]"


class Sparks(dict[tuple[str, str, int], dict[str, Any]]):
    """One answer's entropy, EMA and α, thinned, by question, method and seed; none of long runs."""

    def __init__(self, answers: int):
        self._points = min(POINTS[1], SPARKS // max(1, answers))

    def add(self, line: Line, trace: Mapping[str, np.ndarray]) -> None:
        """Takes in the trace of an answer."""
        if self._points < POINTS[0] or not np.any(np.isfinite(trace["entropy"])):
            return
        alpha = np.nan_to_num(thin(np.sign(trace["alpha"]), self._points))
        self[line.key] = {
            "entropy": _hundredths(thin(trace["entropy"], self._points)),
            "ema": _hundredths(thin(trace["ema"], self._points)),
            "alpha": "".join("-0+"[int(sign) + 1] for sign in np.rint(alpha)),
            "delta": _hundredths(trace["delta_norm"][-1:])[0],
        }


def _hundredths(values: np.ndarray) -> list[int | None]:
    return [round(100 * v) if np.isfinite(v) else None for v in values.tolist()]
