"""From lines to score tables, and from two methods' tables to their paired difference."""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vreason_jax.evaluation import statistics
from vreason_jax.evaluation.lines import Line

Value = Callable[[Line], float]


def strict(line: Line) -> float:
    """Returns the score that counts unless another is asked for."""
    return line.score


def score_table(lines: Sequence[Line], value: Value = strict) -> tuple[list[str], np.ndarray]:
    """Returns question ids, and their scores [Q, S] by seed in rising order, NaN where none."""
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
    """Returns the accuracy of always giving the answer that most questions have, 0 to 1.

    That is what chance is to be held to where some answers are frequent. Regression rows, which
    are not right or wrong, are left out; None without others.
    """
    golds = {line.id: line.gold for line in lines if not line.regression}
    if not golds:
        return None
    ((_, count),) = collections.Counter(golds.values()).most_common(1)
    return count / len(golds)


def describe(lines: Sequence[Line], value: Value = strict) -> dict[str, Any] | None:
    """Returns the fields of `statistics.Estimate` for one method's lines, None without lines."""
    if not lines:
        return None
    return dataclasses.asdict(statistics.estimate(score_table(lines, value)[1]))


def compare(
    first: Sequence[Line], other: Sequence[Line], value: Value = strict
) -> dict[str, Any] | None:
    """Returns the difference other - first over the questions that both answered, or None.

    `value` is the mean difference, `low` and `high` its bootstrap interval. McNemar's test is for
    right and wrong alone: regression rows are left out of it, and without others it is None.
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
