"""From scored replies to a benchmark's figures: per task and subset, micro, macro, and its own."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from vreason_jax.evaluation.readers import videommmu, vsibench
from vreason_jax.evaluation.record import REGRESSION, Record
from vreason_jax.evaluation.scoring import Scored

BAD_VIDEO = ("missing_video", "undecodable_video")
STATUSES = ("ok", "truncated", "no_answer", *BAD_VIDEO)


class Graded(Protocol):
    """What is read of a reply; a line of predictions.jsonl has all of it."""

    @property
    def id(self) -> str:
        """The question's, unique within its benchmark."""
        ...

    @property
    def task(self) -> str:
        """What the benchmark groups by."""
        ...

    @property
    def subset(self) -> str:
        """A second grouping, or ""."""
        ...

    @property
    def kind(self) -> str:
        """One of `record.KINDS`."""
        ...

    @property
    def score(self) -> float:
        """0 to 1."""
        ...

    @property
    def score_lenient(self) -> float:
        """With the answer read leniently."""
        ...

    @property
    def status(self) -> str:
        """One of STATUSES."""
        ...


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A scored reply, where no line is at hand."""

    id: str
    task: str
    subset: str
    kind: str
    score: float
    score_lenient: float
    status: str = "ok"


def outcome(record: Record, scored: Scored, status: str = "ok") -> Outcome:
    """Returns the outcome of a record; bad videos count as wrong whatever `scored` says."""
    strict, relaxed = scored.score, scored.score_lenient
    if status in BAD_VIDEO:
        strict = relaxed = 0.0
    return Outcome(record.id, record.task, record.subset, record.kind, strict, relaxed, status)


def aggregate(
    outcomes: Iterable[Graded], benchmark: str, before: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Returns the figures of one method on one benchmark, 0 to 1.

    Args:
      outcomes: all replies, those to bad videos with score 0.
      benchmark: its name decides `official`, the figure that its authors report.
      before: VideoMMMU's scores by id without the lecture, for its knowledge gain.

    Keys: `count`, `micro` (mean over rows, which is also accuracy and MRA weighted by their rows),
    `macro` (mean over tasks), `accuracy` (rows that are no regression), `mra` (regression rows),
    each none without such rows; `micro_lenient`; `tasks` and `subsets`; `official`; `rates` by
    status; `without_bad_videos`, the means once more; `notices`.
    """
    rows = list(outcomes)
    notices: list[str] = []
    tasks = _groups(rows, lambda row: merged_task(benchmark, row.task))
    return {
        "count": len(rows),
        **_means(rows),
        "micro_lenient": _mean(row.score_lenient for row in rows),
        "macro": _mean(_task_means(rows, benchmark).values()),
        "tasks": {name: _group(group) for name, group in tasks.items()},
        "levels": _levels(rows) if benchmark == vsibench.LAYOUT.name else {},
        "subsets": {
            name: _group(group) for name, group in _groups(rows, lambda r: r.subset).items() if name
        },
        "official": _official(rows, benchmark, before, notices),
        "rates": {status: _mean(row.status == status for row in rows) for status in STATUSES},
        "without_bad_videos": _means([row for row in rows if row.status not in BAD_VIDEO]),
        "notices": notices,
    }


def merged_task(benchmark: str, task: str) -> str:
    """Returns the task of a question type: three of VSI-Bench's are levels of one task."""
    if benchmark == vsibench.LAYOUT.name and task in vsibench.DIRECTIONS:
        return vsibench.DIRECTION
    return task


def _means(rows: Sequence[Graded]) -> dict[str, Any]:
    return {
        "micro": _mean(row.score for row in rows),
        "accuracy": _mean(row.score for row in rows if row.kind != REGRESSION),
        "mra": _mean(row.score for row in rows if row.kind == REGRESSION),
    }


def _task_means(rows: Sequence[Graded], benchmark: str) -> dict[str, float]:
    """Returns each task's mean; VSI-Bench's three levels are averaged before they are a task."""
    types = _groups(rows, lambda row: row.task)
    merged: dict[str, list[float]] = {}
    for name, group in types.items():
        mean = _mean(row.score for row in group)
        assert mean is not None  # no group is empty
        merged.setdefault(merged_task(benchmark, name), []).append(mean)
    return {name: float(np.mean(means)) for name, means in merged.items()}


def _official(
    rows: Sequence[Graded],
    benchmark: str,
    before: Mapping[str, float] | None,
    notices: list[str],
) -> dict[str, Any]:
    """Returns what the benchmark's authors report, by name."""
    if benchmark == vsibench.LAYOUT.name:
        means = _task_means(rows, benchmark)
        if len(means) < 8:
            notices.append(f"the mean over VSI-Bench's tasks covers {len(means)} of 8")
        return {"mean of tasks": _mean(means.values())}
    if benchmark == "mvbench":
        return {"mean of tasks": _mean(_task_means(rows, benchmark).values())}
    figures: dict[str, Any] = {"accuracy": _means(rows)["accuracy"]}
    if benchmark == videommmu.LAYOUT.name:
        figures["knowledge gain"] = _knowledge_gain(rows, before, notices)
    return figures


def _knowledge_gain(
    rows: Sequence[Graded], before: Mapping[str, float] | None, notices: list[str]
) -> float | None:
    """Returns (after - before) / (1 - before) on Adaptation, VideoMMMU's delta-knowledge."""
    asked = [row for row in rows if row.task == videommmu.WITH_PICTURE]
    both = [row for row in asked if before is not None and row.id in before]
    if before is None or not both:
        reason = "scores without the lecture" if asked else "the Adaptation track"
        notices.append(f"no knowledge gain: it needs {reason}")
        return None
    after = float(np.mean([row.score for row in both]))
    first = float(np.mean([before[row.id] for row in both]))
    if first == 1.0:
        notices.append("no knowledge gain: everything was right without the lecture")
        return None
    return (after - first) / (1.0 - first)


def _levels(rows: Sequence[Graded]) -> dict[str, Any]:
    groups = _groups(rows, lambda row: row.task)
    return {name: _group(groups[name]) for name in vsibench.DIRECTIONS if name in groups}


def _group(rows: Sequence[Graded]) -> dict[str, Any]:
    return {
        "count": len(rows),
        "score": _mean(row.score for row in rows),
        "score_lenient": _mean(row.score_lenient for row in rows),
    }


def _groups(rows: Iterable[Graded], key: Callable[[Graded], str]) -> dict[str, list[Graded]]:
    groups: dict[str, list[Graded]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else None
