"""Score tables from lines; means of one method, and paired differences of two."""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.statistics import intervals, power, significance
from vreason_jax.evaluation.statistics.clips import ClipMean, mean_over_clips

Value = Callable[[Line], float]
Nest = Callable[[Line], tuple[str, str]]  # a question's task, and its level within the task


def strict(line: Line) -> float:
    """Returns the default score of a line."""
    return line.score


@dataclasses.dataclass(frozen=True)
class Table:
    """The scores of Q questions under S seeds."""

    lines: list[Line]  # one of each question
    scores: np.ndarray  # [Q, S] by rising seed, NaN where there is none

    @property
    def means(self) -> np.ndarray:
        """The score of each question [Q], averaged over the seeds that answered it."""
        return np.nanmean(self.scores, axis=1)

    @property
    def names(self) -> list[str]:
        """The questions' ids [Q]."""
        return [line.id for line in self.lines]


def score_table(lines: Sequence[Line], value: Value = strict) -> Table:
    """Returns the scores of questions by rising seed."""
    firsts = {line.id: line for line in reversed(lines)}
    rows = {name: row for row, name in enumerate(dict.fromkeys(line.id for line in lines))}
    columns = {seed: column for column, seed in enumerate(sorted({line.seed for line in lines}))}
    table = np.full((len(rows), len(columns)), np.nan)
    for line in lines:
        table[rows[line.id], columns[line.seed]] = value(line)
    return Table([firsts[name] for name in rows], table)


def question_scores(lines: Sequence[Line]) -> dict[str, float]:
    """Returns each question's score, averaged over seeds."""
    table = score_table(lines)
    return dict(zip(table.names, table.means.tolist(), strict=True))


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


def describe(
    lines: Sequence[Line], value: Value = strict, nest: Nest | None = None
) -> dict[str, Any] | None:
    """Returns a method's mean score with its error and interval over clips; None without lines.

    With `nest` it is the mean over tasks, each the mean over its levels. `seed_means` are those of
    the single seeds, and `seed_std` is their standard deviation.
    """
    if not lines:
        return None
    table = score_table(lines, value)
    mean = over_clips(table.means, table.lines, nest)
    seeds = [mean.value]
    if table.scores.shape[1] > 1:
        seeds = [over_clips(*_answered(table, seed), nest).value for seed in table.scores.T]
    plain = nest is None and _plain(table, mean)
    return {
        **estimate(mean, intervals.score_interval(mean, plain)),
        "seeds": len(seeds),
        "seed_means": seeds,
        "seed_std": float(np.std(seeds, ddof=1)) if len(seeds) > 1 else np.nan,
    }


def compare(
    first: Sequence[Line], other: Sequence[Line], value: Value = strict, nest: Nest | None = None
) -> dict[str, Any] | None:
    """Returns the difference other - first over the questions that both answered, or None.

    `value` is the mean difference, `low` and `high` its interval, `p` the test of a difference of
    0; `only_first_right` and `only_other_right` count questions that one scores higher than the
    other. What the questions could have told: `smallest_difference`, `questions_needed` for the
    paper's gain, and with TOST `no_worse_by`, the smallest margin within which the other method is
    no worse (5 %, one-sided).
    """
    ours, theirs = score_table(first, value), score_table(other, value)
    means = dict(zip(theirs.names, theirs.means, strict=True))
    kept = [row for row, name in enumerate(ours.names) if name in means]
    if not kept:
        return None
    lines = [ours.lines[row] for row in kept]
    gains = np.array([means[line.id] for line in lines]) - ours.means[kept]
    mean = over_clips(gains, lines, nest)
    worse, better = int(np.sum(gains < 0)), int(np.sum(gains > 0))
    counted = nest is None and _plain(ours, mean) and _plain(theirs, mean)
    p = significance.mcnemar(worse, better) if counted else significance.sign_flip(mean.parts)
    return {
        **estimate(mean, intervals.difference_interval(mean)),
        "only_first_right": worse,
        "only_other_right": better,
        "test": significance.MCNEMAR if counted else significance.SIGN_FLIPS,
        "p": p,
        "mcnemar_p": p,  # the name that p has had from the first; of sign flips, too
        **power.told(mean),
    }


def clip_of(line: Line) -> tuple[str, str]:
    """Returns what tells a question's clip from others; one without a clip is its own."""
    return ("video", line.video) if line.video else ("question", line.id)


def estimate(mean: ClipMean, ends: np.ndarray) -> dict[str, Any]:
    """Returns a mean with its error, its interval `ends` [2] and its sample's size."""
    return {
        "value": mean.value,
        "standard_error": mean.error,
        "low": ends[0],
        "high": ends[1],
        "questions": mean.questions,
        "clips": mean.clips,
    }


def over_clips(values: np.ndarray, lines: Sequence[Line], nest: Nest | None = None) -> ClipMean:
    """Returns the mean of the values [Q] of the lines' questions, over their clips."""
    clips = _numbered([clip_of(line) for line in lines])
    if nest is None:
        return mean_over_clips(values, clips)
    nested = [nest(line) for line in lines]
    levels: dict[str, set[str]] = {}
    for task, level in nested:
        levels.setdefault(task, set()).add(level)
    sizes = collections.Counter(nested)
    weights = [1 / (len(levels) * len(levels[key[0]]) * sizes[key]) for key in nested]
    return mean_over_clips(values, clips, _numbered(nested), np.array(weights))


def _numbered(names: Sequence[Any]) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names])


def _plain(table: Table, mean: ClipMean) -> bool:
    """Whether every question is right or wrong once, and about a clip of its own."""
    once = table.scores.shape[1] == 1 and mean.clips == mean.questions
    return once and bool(np.all((table.scores == 0) | (table.scores == 1)))


def _answered(table: Table, seed: np.ndarray) -> tuple[np.ndarray, list[Line]]:
    there = np.flatnonzero(~np.isnan(seed))
    return seed[there], [table.lines[row] for row in there]
