"""The lines of `predictions.jsonl`, one answer each, for statistics and report."""

import dataclasses
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, reason_of, shown
from vreason_jax.evaluation.benchmarks.record import REGRESSION
from vreason_jax.evaluation.results.line_file import parse_lines, whole_lines
from vreason_jax.regular_files import read_bytes

BAD_VIDEO = ("missing_video", "undecodable_video")
STATUSES = ("ok", "truncated", "no_answer", "not_finite", *BAD_VIDEO)
STAGES = ("video", "vision", "prefill", "decode")  # that an answer's seconds are told by
CHANGES = ("changed", "delta_logit", "kl")  # against the first method's answer
PREDICTIONS = "predictions.jsonl"
LARGEST = 2**34  # bytes of the file
MOST = 2**32 - 1  # tokens, and the largest seed
_TEXTS = (
    "id", "benchmark", "model", "method", "gold", "text", "config_hash", "task", "subset", "video",
    "kind",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Line:
    """One answer. Fields with a default may be missing in the file; unknown keys are ignored."""

    id: str
    benchmark: str
    model: str
    method: str
    seed: int
    status: str  # one of STATUSES
    text: str
    answer: str | None  # what stands in the answer tags
    gold: str
    score: float  # 0..1
    score_lenient: float
    tokens: int  # generated
    seconds: dict[str, float]  # this answer's share: video, vision, prefill, decode
    config_hash: str
    task: str
    subset: str = ""
    video: str = ""
    kind: str = ""  # a kind of `evaluation.record`
    answer_probability: float | None = None  # product over the tokens inside the answer tags
    trace: str | None = None  # file name below `traces` of the line's folder
    entropy: float | None = None  # mean over the tokens, nats
    # Against the first method's answer; None of the first, and where there is none to compare with.
    changed: bool | None = None  # the tokens differ
    delta_logit: float | None = None  # `evaluation.comparison`: mean |z - z_first| on its reply
    kl: float | None = None  # mean KL(first || method) there, nats
    folder: Path = dataclasses.field(default=Path(), compare=False)
    number: int = dataclasses.field(default=0, compare=False)  # of the line in its file, from 1

    @property
    def key(self) -> tuple[str, str, int]:
        """What it answers: a question, by a method, with a seed."""
        return self.id, self.method, self.seed

    @property
    def trace_path(self) -> Path | None:
        """The file of the answer's per-token arrays, or None if they were not kept."""
        return self.folder / "traces" / self.trace if self.trace else None

    @property
    def regression(self) -> bool:
        """Whether the score is a mean relative accuracy instead of right or wrong."""
        return self.kind == REGRESSION

    @property
    def bad_video(self) -> bool:
        """Whether the question was not asked because its video could not be read."""
        return self.status in BAD_VIDEO

    def same_answer(self, other: "Line") -> bool:
        """Whether two lines have the same answer to one question; wall times may differ."""
        keys = ("text", "answer", "gold", "score", "status", "tokens")
        return all(getattr(self, key) == getattr(other, key) for key in keys)


_PLACE = ("folder", "number")  # fields that are not in the file
STATUS_WORDS = {status: status.replace("_", " ") for status in STATUSES} | {
    "no_answer": "not in the form asked"  # such as in tags; a bare letter may score all the same
}
_FIELDS = {field.name: field for field in dataclasses.fields(Line) if field.name not in _PLACE}
_OPTIONAL = ("entropy", *CHANGES)  # left out where there is none
_REQUIRED = {name for name, field in _FIELDS.items() if field.default is dataclasses.MISSING}


def fields_of(line: Line) -> dict[str, Any]:
    """Returns a line as the file has it."""
    fields = {name: getattr(line, name) for name in _FIELDS}
    return {name: v for name, v in fields.items() if v is not None or name not in _OPTIONAL}


def read_lines(path: str | Path) -> list[Line]:
    """Returns the answers of a `predictions.jsonl` in the order of the file; drops a torn end.

    Raises UserError with file and line for anything else that is not an answer, and for a missing
    file.
    """
    path = Path(path)
    try:
        data = read_bytes(path, LARGEST)
    except OSError as error:
        raise UserError(
            f"{path}: expected the lines of an evaluation, cannot read it: {reason_of(error)}"
        ) from None
    return parse_lines(whole_lines(data), path, parse_line)


def check_unique(lines: Iterable[Line]) -> None:
    """Raises UserError if a question has two answers of one method and seed."""
    seen = set()
    for line in lines:
        if line.key in seen:
            raise UserError(
                f"{line.folder / PREDICTIONS}: expected one answer for each question, method and "
                f"seed; {shown(line.id)} has two of {line.method}, seed {line.seed}: remove one"
            )
        seen.add(line.key)


def parse_line(value: dict[str, Any], path: Path, number: int = 0) -> Line:
    """Returns the answer that a JSON object holds, line `number` of a file.

    Raises UserError if it is none.
    """
    where = f"{path}, line {number}" if number else str(path)
    missing = sorted(_REQUIRED - value.keys())
    if missing:
        raise UserError(f"{where}: no {', '.join(missing)}; expected every key of an answer")
    known = {name: value[name] for name in _FIELDS if name in value}
    if known["status"] not in STATUSES:
        expected = ", ".join(STATUSES)
        raise UserError(f"{where}: expected a status of {expected}; got {shown(known['status'])}")
    for key in ("score", "score_lenient"):
        known[key] = _number(known[key], key, where, high=1.0)
    for key in ("tokens", "seed"):
        known[key] = int(_number(known[key], key, where, MOST))
    for key in ("answer_probability", "entropy", "delta_logit", "kl"):
        if known.get(key) is not None:
            known[key] = _number(known[key], key, where)
    if known.get("answer_probability"):
        # Rounding lets a product of certain tokens end a hair above 1.
        known["answer_probability"] = min(1.0, known["answer_probability"])
    if known.get("changed") is not None:
        known["changed"] = bool(_number(known["changed"], "changed", where, high=1.0))
    known["seconds"] = _seconds(known["seconds"], where)
    for key in _TEXTS:
        known[key] = _text(known.get(key), key, where) or ""
    for key in ("answer", "trace"):
        known[key] = _text(known.get(key), key, where)
    return Line(**known, folder=path.parent, number=number)


def _seconds(value: Any, where: str) -> dict[str, float]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object of seconds by stage; got {shown(value)}")
    return {
        stage: _number(number, f"seconds.{stage}", where)
        for stage, number in value.items()
        if number is not None
    }


def _text(value: Any, key: str, where: str) -> str | None:
    if value is not None and type(value) not in (str, int, float):
        raise UserError(f"{where}: expected {key} as text; got {shown(value)}")
    return None if value is None else str(value)


def _number(value: Any, key: str, where: str, high: float = math.inf) -> float:
    # NaN fails the comparisons, a whole number too large for a float the last one.
    if not isinstance(value, int | float) or not 0 <= value <= min(high, sys.float_info.max):
        limit = f"from 0 to {high:g}" if math.isfinite(high) else "not below 0"
        raise UserError(f"{where}: expected {key} as a number {limit}; got {shown(value)}")
    return float(value)
