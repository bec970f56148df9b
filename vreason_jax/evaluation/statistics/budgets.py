"""Scores with every answer cut at the same number of tokens.

An answer counts only if it was complete within the budget, so that no method gains by writing more
than another.
"""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.statistics.scores import Value, compare, describe

POINTS = 64  # of the curve
APART = 0.1  # mean lengths closer than this share are alike: cutting tells of the cut alone
QUANTILES = (0.25, 0.5, 0.75, 0.9)  # of all answers' tokens: the budgets


def within(budget: float) -> Value:
    """Returns the score of a line if its tokens fit the budget, else 0."""
    return lambda line: line.score if line.tokens <= budget else 0.0


def equal_tokens(
    groups: Mapping[str, Sequence[Line]], against: Mapping[str, str]
) -> dict[str, Any] | None:
    """Returns the scores of all methods at several budgets, and along budgets as a curve.

    The budgets are quantiles of the tokens of all answers. `against` names the method to compare
    each with. Returns None without answers, and where the methods' mean lengths are alike.
    """
    seen = [[line.tokens for line in lines if not line.bad_video] for lines in groups.values()]
    means = [np.mean(tokens) for tokens in seen if tokens]
    if len(means) < len(groups) or not means or max(means) < (1 + APART) * min(means):
        return None
    pooled = np.concatenate(seen)
    curve = np.unique(np.round(np.linspace(0, pooled.max(), POINTS)).astype(int))
    return {
        "budgets": [
            {"quantile": share, **_at(int(np.ceil(np.quantile(pooled, share))), groups, against)}
            for share in QUANTILES
        ],
        "curve": {
            "budgets": curve.tolist(),
            "score": {name: budget_curve(lines, curve).tolist() for name, lines in groups.items()},
        },
    }


def _at(
    tokens: int, groups: Mapping[str, Sequence[Line]], against: Mapping[str, str]
) -> dict[str, Any]:
    value = within(tokens)
    methods: dict[str, dict[str, Any]] = {
        name: {"score": describe(lines, value)} for name, lines in groups.items()
    }
    for name, lines in groups.items():
        if against[name] != name:
            methods[name]["difference"] = compare(groups[against[name]], lines, value)
    return {"tokens": tokens, "methods": methods}


def budget_curve(lines: Sequence[Line], budgets: np.ndarray) -> np.ndarray:
    """Returns the mean score over questions at each of the rising budgets [N], in tokens."""
    seeds = collections.Counter(line.id for line in lines)
    order = sorted(lines, key=lambda line: line.tokens)
    weights = np.array([line.score / seeds[line.id] for line in order]) / len(seeds)
    total = np.concatenate([[0.0], np.cumsum(weights)])
    tokens = np.array([line.tokens for line in order])
    return total[np.searchsorted(tokens, budgets, side="right")]
