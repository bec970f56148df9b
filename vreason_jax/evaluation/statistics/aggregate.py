"""A benchmark's groups of questions, and the figures that its authors report."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from vreason_jax.evaluation.benchmarks import mvbench, videommmu, vsibench
from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.statistics.scores import question_scores

Groups = dict[str, list[Line]]
_VSIBENCH_TASKS = 8


def merged_task(benchmark: str, task: str) -> str:
    """Returns the task of a question type; three of VSI-Bench's types are levels of one task."""
    if benchmark == vsibench.LAYOUT.name and task in vsibench.DIRECTIONS:
        return vsibench.DIRECTION
    return task


def by_task(lines: Iterable[Line]) -> Groups:
    """Returns the lines of each task, with its levels; omits lines without a task."""
    return _groups(lines, lambda line: merged_task(line.benchmark, line.task))


def by_level(lines: Iterable[Line]) -> Groups:
    """Returns the lines of each level, for tasks with levels."""
    types = _groups(lines, lambda line: line.task)
    return {n: g for n, g in types.items() if merged_task(g[0].benchmark, n) != n}


def by_subset(lines: Iterable[Line]) -> Groups:
    """Returns the lines of each subset; omits lines without a subset."""
    return _groups(lines, lambda line: line.subset)


def macro_tasks(lines: Iterable[Line]) -> float | None:
    """Returns the mean over tasks; each task has the same weight.

    Levels have the same weight too: VSI-Bench's authors average the three into one task.
    """
    types = _groups(lines, lambda line: line.task)
    tasks: dict[str, list[float]] = {}
    for name, group in types.items():
        tasks.setdefault(merged_task(group[0].benchmark, name), []).append(mean_score(group))
    return float(np.mean([np.mean(means) for means in tasks.values()])) if tasks else None


def macro(groups: Groups) -> float | None:
    """Returns the unweighted mean of the groups' scores, or None without groups."""
    return float(np.mean([mean_score(lines) for lines in groups.values()])) if groups else None


def mean_score(lines: Sequence[Line]) -> float:
    """Returns the mean over questions, each averaged over its seeds."""
    return float(np.mean(list(question_scores(lines).values())))


def official(lines: Sequence[Line], before: Mapping[str, float] | None = None) -> dict[str, float]:
    """Returns the figures that the benchmark's authors report, by name, where the lines suffice.

    `before` are VideoMMMU's scores by question without the lecture, for its knowledge gain.
    """
    benchmark = lines[0].benchmark if lines else ""
    if benchmark in (vsibench.LAYOUT.name, mvbench.LAYOUT.name):
        mean, tasks = macro_tasks(lines), len(by_task(lines))
        short = benchmark == vsibench.LAYOUT.name and tasks < _VSIBENCH_TASKS
        name = f"mean of {tasks} of {_VSIBENCH_TASKS} tasks" if short else f"mean of {tasks} tasks"
        return {} if mean is None else {name: mean}
    graded = [line for line in lines if not line.regression]
    figures = {"accuracy": mean_score(graded)} if graded else {}
    if benchmark == videommmu.LAYOUT.name and before is not None:
        figures |= _knowledge_gain(lines, before)
    return figures


def _knowledge_gain(lines: Sequence[Line], before: Mapping[str, float]) -> dict[str, float]:
    """Returns (after - before) / (1 - before) over Adaptation; none if all was right before."""
    after = question_scores([line for line in lines if line.task == videommmu.WITH_PICTURE])
    both = [name for name in after if name in before]
    if not both:
        return {}
    first, then = (float(np.mean([table[name] for name in both])) for table in (before, after))
    return {} if first == 1.0 else {"knowledge gain": (then - first) / (1.0 - first)}


def _groups(lines: Iterable[Line], key: Callable[[Line], str]) -> Groups:
    groups: Groups = {}
    for line in lines:
        if key(line):
            groups.setdefault(key(line), []).append(line)
    return groups
