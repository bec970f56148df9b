"""A benchmark's groups of questions, and the figures that its authors report."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from vreason_jax.evaluation.benchmarks import mvbench, videommmu, vsibench
from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.statistics.intervals import t_interval
from vreason_jax.evaluation.statistics.scores import (
    Nest,
    compare,
    describe,
    estimate,
    over_clips,
    score_table,
)

Key = TypeVar("Key")
Groups = dict[str, list[Line]]
_VSIBENCH_TASKS = 8


def merged_task(benchmark: str, task: str) -> str:
    """Returns the task of a question type; three of VSI-Bench's types are levels of one task."""
    if benchmark == vsibench.LAYOUT.name and task in vsibench.DIRECTIONS:
        return vsibench.DIRECTION
    return task


def grouped(lines: Iterable[Line], key: Callable[[Line], Key]) -> dict[Key, list[Line]]:
    """Returns the lines that have a key in common; omits lines without one."""
    groups: dict[Key, list[Line]] = {}
    for line in lines:
        if key(line):
            groups.setdefault(key(line), []).append(line)
    return groups


def by_task(lines: Iterable[Line]) -> Groups:
    """Returns the lines of each task, with its levels; omits lines without a task."""
    return grouped(lines, lambda line: merged_task(line.benchmark, line.task))


def by_level(lines: Iterable[Line]) -> Groups:
    """Returns the lines of each level, for tasks with levels."""
    types = grouped(lines, lambda line: line.task)
    return {n: g for n, g in types.items() if merged_task(g[0].benchmark, n) != n}


def by_subset(lines: Iterable[Line]) -> Groups:
    """Returns the lines of each subset; omits lines without a subset."""
    return grouped(lines, lambda line: line.subset)


def nested(line: Line) -> tuple[str, str]:
    """Returns the task of a line and its level: each has the same weight within what holds it.

    VSI-Bench's authors average the three levels of direction into one task.
    """
    return merged_task(line.benchmark, line.task), line.task


def macro_tasks(lines: Iterable[Line]) -> dict[str, Any] | None:
    """Returns the mean over tasks as `scores.describe` does, or None without tasks."""
    return describe([line for line in lines if line.task], nest=nested)


def macro_subsets(lines: Iterable[Line]) -> dict[str, Any] | None:
    """Returns the mean over subsets as `scores.describe` does, or None without subsets."""
    kept = [line for line in lines if line.subset]
    return describe(kept, nest=lambda line: (line.subset, line.subset))


class Figure(NamedTuple):
    """A score that a benchmark's authors report."""

    name: str
    lines: list[Line]  # those that it is of
    nest: Nest | None  # for a mean over tasks


def reported(lines: Sequence[Line]) -> Figure:
    """Returns the figure that the benchmark's authors report first, of a method's lines."""
    benchmark = lines[0].benchmark if lines else ""
    if benchmark not in (vsibench.LAYOUT.name, mvbench.LAYOUT.name):
        return Figure("accuracy", [line for line in lines if not line.regression], None)
    tasks = len(by_task(lines))
    short = benchmark == vsibench.LAYOUT.name and tasks < _VSIBENCH_TASKS
    name = f"mean of {tasks} of {_VSIBENCH_TASKS} tasks" if short else f"mean of {tasks} tasks"
    return Figure(name, [line for line in lines if line.task], nested)


def official(
    lines: Sequence[Line], before: Mapping[str, float] | None = None
) -> dict[str, dict[str, Any]]:
    """Returns the figures that the benchmark's authors report, by name, where the lines suffice.

    `before` are VideoMMMU's scores by question without the lecture, for its knowledge gain.
    """
    name, kept, nest = reported(lines)
    figures = {name: describe(kept, nest=nest)}
    if before is not None:
        figures["knowledge gain"] = _knowledge_gain(lines, before)
    return {name: figure for name, figure in figures.items() if figure}


def official_difference(first: Sequence[Line], other: Sequence[Line]) -> dict[str, Any]:
    """Returns the paired difference of the figure that the authors report, by its name."""
    shared = {line.id for line in first} & {line.id for line in other}
    name, kept, nest = reported([line for line in other if line.id in shared])
    difference = compare(reported(first).lines, kept, nest=nest)
    return {name: difference} if difference else {}


def has_gain(line: Line) -> bool:
    """Returns whether a line counts in VideoMMMU's knowledge gain."""
    return (line.benchmark, line.task) == (videommmu.LAYOUT.name, videommmu.WITH_PICTURE)


def _knowledge_gain(lines: Sequence[Line], before: Mapping[str, float]) -> dict[str, Any] | None:
    """Returns (after - before) / (1 - before) over Adaptation; None if all was right before."""
    kept = [li for li in lines if has_gain(li) and li.id in before]
    if not kept:
        return None
    table = score_table(kept)
    after, first = table.means, np.array([before[name] for name in table.names])
    if np.all(first == 1.0):
        return None
    room = 1.0 - np.mean(first)
    gain = (np.mean(after) - np.mean(first)) / room
    # What a question adds to the gain, to first order: its error is that of a mean.
    pulled = gain + (after - np.mean(after) - (first - np.mean(first)) * (1 - gain)) / room
    mean = over_clips(pulled, table.lines)
    return estimate(mean, np.minimum(t_interval(mean), 1.0))  # no gain is larger
