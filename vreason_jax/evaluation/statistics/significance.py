"""Tests of a paired difference, and of several at once."""

import numpy as np
from scipy.special import bdtr

from vreason_jax.evaluation.statistics.intervals import KEY

FLIPS = 10_000
MCNEMAR, SIGN_FLIPS = "McNemar", "sign flips"


def mcnemar(only_first: int, only_other: int) -> float:
    """Returns McNemar's exact two-sided p of the two discordant counts (binomial, p = 1/2)."""
    tail = bdtr(min(only_first, only_other), only_first + only_other, 0.5)
    return float(min(1.0, 2 * tail))


def sign_flip(parts: np.ndarray, flips: int = FLIPS, key: int = KEY) -> float:
    """Returns the two-sided p of a mean difference 0, from what each clip adds to it, [C].

    Had the methods no difference, every clip's part might as well have the other sign. Of `flips`
    random choices of signs, those of the same sum count half (mid-p): sums of right and wrong
    answers take few values, and in full they would make p too large. With one right or wrong answer
    a clip and those counted in full, this is McNemar's test.
    """
    sizes, counts = np.unique(np.abs(parts).round(15), return_counts=True)
    seen, near = abs(np.sum(parts)), 1e-9 * np.sum(np.abs(parts))
    if seen <= near:
        return 1.0
    generator = np.random.default_rng(key)
    signs = 2 * generator.binomial(counts, 0.5, (flips, len(counts))) - counts
    sums = np.abs(signs @ sizes)
    beyond, level = np.sum(sums > seen + near), np.sum(np.abs(sums - seen) <= near)
    return float((beyond + level / 2 + 0.5) / (flips + 1))


def holm(probabilities: np.ndarray) -> np.ndarray:
    """Returns Holm's adjusted p [M] of a family of tests [M]."""
    order = np.argsort(probabilities)
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.minimum(factors * probabilities[order], 1.0))
    return adjusted
