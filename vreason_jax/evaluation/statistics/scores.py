"""Score tables from lines, and paired differences from two methods' tables."""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.statistics import intervals as statistics

Value = Callable[[Line], float]


def strict(line: Line) -> float:
    """Returns the default score of a line."""
    return line.score


def score_table(lines: Sequence[Line], value: Value = strict) -> tuple[list[str], np.ndarray]:
    """Returns question ids and their scores [Q, S] by rising seed, NaN where there is none."""
    rows = {name: row for row, name in enumerate(dict.fromkeys(line.id for line in lines))}
    columns = {seed: column for column, seed in enumerate(sorted({line.seed for line in lines}))}
    table = np.full((len(rows), len(columns)), np.nan)
    for line in lines:
        table[rows[line.id], columns[line.seed]] = value(line)
    return list(rows), table


def question_scores(lines: Sequence[Line], value: Value = strict) -> dict[str, float]:
    """Returns each question's score, averaged over seeds."""
    names, table = score_table(lines, value)
    return dict(zip(names, statistics.question_means(table).tolist(), strict=True))


def constant_accuracy(lines: Sequence[Line]) -> float | None:
    """Returns the accuracy, 0 to 1, of always giving the most frequent gold answer.

    This is the level of chance where some answers are frequent. Regression rows are not right or
    wrong and are left out; returns None without others.
    """
    golds = {line.id: line.gold for line in lines if not line.regression}
    if not golds:
        return None
    ((_, count),) = collections.Counter(golds.values()).most_common(1)
    return count / len(golds)


def describe(lines: Sequence[Line], value: Value = strict) -> dict[str, Any] | None:
    """Returns the fields of `statistics.Estimate` for one method's lines, or None without lines."""
    if not lines:
        return None
    return dataclasses.asdict(statistics.estimate(score_table(lines, value)[1]))


def compare(
    first: Sequence[Line], other: Sequence[Line], value: Value = strict
) -> dict[str, Any] | None:
    """Returns the difference other - first over the questions that both answered, or None.

    `value` is the mean difference, `low` and `high` its bootstrap interval. McNemar's test needs
    right or wrong: it leaves regression rows out, and is None without others.
    """
    a, b = question_scores(first, value), question_scores(other, value)
    shared = [name for name in a if name in b]
    if not shared:
        return None
    differences = np.array([b[name] - a[name] for name in shared])
    low, high = statistics.paired_bootstrap(differences)
    graded = {line.id for line in first if line.regression}
    binary = [name for name in shared if name not in graded]
    worse, better = statistics.discordant(
        np.array([a[name] for name in binary]), np.array([b[name] for name in binary])
    )
    return {
        "value": float(np.mean(differences)),
        "low": low,
        "high": high,
        "questions": len(shared),
        "only_first_right": worse,
        "only_other_right": better,
        "mcnemar_p": statistics.mcnemar(worse, better) if binary else None,
    }
