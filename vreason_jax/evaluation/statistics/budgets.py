"""Scores with every answer cut at the same number of tokens.

An answer counts only if it was complete within the budget, so that no method gains by writing more
than another.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.statistics.scores import Value, compare, describe

POINTS = 64  # of the curve


def within(budget: float) -> Value:
    """Returns the score of a line if its tokens fit the budget, else 0."""
    return lambda line: line.score if line.tokens <= budget else 0.0


def equal_tokens(
    groups: Mapping[str, Sequence[Line]], against: Mapping[str, str]
) -> dict[str, Any] | None:
    """Returns the scores of all methods at one budget, and along budgets as a curve.

    The budget is the smallest of the methods' mean numbers of tokens, rounded up. `against` names
    the method to compare each with. Returns None without answers.
    """
    seen = {
        name: [line.tokens for line in lines if not line.bad_video]
        for name, lines in groups.items()
    }
    if not all(seen.values()) or not seen:
        return None
    budget = int(np.ceil(min(np.mean(tokens) for tokens in seen.values())))
    value = within(budget)
    methods = {}
    for name, lines in groups.items():
        methods[name] = {"score": describe(lines, value)}
        if against[name] != name:
            methods[name]["difference"] = compare(groups[against[name]], lines, value)
    longest = max(max(tokens) for tokens in seen.values())
    budgets = np.unique(np.round(np.linspace(0, longest, POINTS)).astype(int))
    curve = {name: budget_curve(lines, budgets).tolist() for name, lines in groups.items()}
    return {
        "budget": budget,
        "methods": methods,
        "curve": {"budgets": budgets.tolist(), "score": curve},
    }


def budget_curve(lines: Sequence[Line], budgets: np.ndarray) -> np.ndarray:
    """Returns the mean score over questions at each of the rising budgets [N], in tokens."""
    seeds: dict[str, int] = {}
    for line in lines:
        seeds[line.id] = seeds.get(line.id, 0) + 1
    order = sorted(lines, key=lambda line: line.tokens)
    weights = np.array([line.score / seeds[line.id] for line in order]) / len(seeds)
    total = np.concatenate([[0.0], np.cumsum(weights)])
    tokens = np.array([line.tokens for line in order])
    return total[np.searchsorted(tokens, budgets, side="right")]
