"""95 % intervals of means over clips, and of their paired differences."""

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from vreason_jax.evaluation.statistics.clips import ClipMean

LEVEL = 0.95
RESAMPLES = 10_000
KEY = 0  # of all random draws here: the same lines give the same numbers
FEW = 10  # clips whose difference is not 0: below, a bootstrap does not see what did not occur
_ROUNDING = 1e-25  # a variance of equal scores
_DISTINCT = 50  # values; up to here a multinomial draw over them is faster than one over clips
_CHUNK = 1_000  # resamples drawn at once


def wilson(successes: float, size: float, reach: float = ndtri((1 + LEVEL) / 2)) -> np.ndarray:
    """Returns Wilson's interval [2] of a share; `reach` is the normal or t quantile."""
    share, square = successes / size, reach * reach
    middle = (share + square / (2 * size)) / (1 + square / size)
    half = reach * np.sqrt(share * (1 - share) / size + (reach / (2 * size)) ** 2)
    half /= 1 + square / size
    # The ends of none and of all are exact; rounding would leave them a hair off.
    return np.array(
        [0.0 if successes == 0 else middle - half, 1.0 if successes == size else middle + half]
    )


def score_interval(mean: ClipMean, plain: bool) -> np.ndarray:
    """Returns the interval [2] of a mean score, which lies within 0 and 1.

    Wilson's; where the sample is not `plain` (answers right or wrong, one a clip), of as many
    answers as would have the same error, with t for the normal quantile (Korn and Graubard 1998).
    """
    if plain:
        return wilson(round(mean.value * mean.questions), mean.questions)
    value, spread = min(max(mean.value, 0.0), 1.0), np.sum(mean.pulls**2)
    size = value * (1 - value) / spread if spread > _ROUNDING else mean.clips
    return wilson(value * size, size, stdtrit(mean.freedom, (1 + LEVEL) / 2))


def t_interval(mean: ClipMean, level: float = LEVEL) -> np.ndarray:
    """Returns the interval [2] of any mean by t over its clips; NaN for a single one."""
    return mean.value + stdtrit(mean.freedom, (1 + level) / 2) * mean.error * np.array([-1.0, 1.0])


def difference_interval(
    mean: ClipMean, level: float = LEVEL, *, resamples: int = RESAMPLES, key: int = KEY
) -> np.ndarray:
    """Returns the interval [2] of a mean of paired differences.

    A bootstrap's over clips; with fewer than FEW clips that differ Newcombe's, or t's where that
    is wider: of few clips that differ by many sizes.
    """
    if mean.changed < FEW:
        return few_interval(mean, level)
    return mean.value + _bootstrap(mean, level, resamples, key)


def few_interval(mean: ClipMean, level: float = LEVEL) -> np.ndarray:
    """Returns the interval [2] of a mean of paired differences of which few are not 0."""
    ends = np.array([_newcombe(mean, level), t_interval(mean, level)])
    return np.array([np.nanmin(ends[:, 0]), np.nanmax(ends[:, 1])])


def exact_bound(size: int, level: float = LEVEL) -> float:
    """Returns the largest share of which `size` draws without one do not speak (binomial)."""
    return 1 - ((1 - level) / 2) ** (1 / size)


def _newcombe(mean: ClipMean, level: float) -> np.ndarray:
    """Returns the interval of the share of clips that gain minus the share that lose.

    Wilson's intervals of the two shares by Newcombe's (1998) squaring and adding, with the
    correlation of two shares of one whole; the exact bound where no clip differs. Clips with parts
    of unequal size count as as many equal ones as have the same mean and spread.
    """
    size, parts = mean.clips, mean.parts
    if not np.any(parts):
        unit = size * np.sum(mean.largest**2)
        return exact_bound(size, level) * unit * np.array([-1.0, 1.0])
    part = np.sum(parts**2) / np.sum(np.abs(parts))
    shares = [np.sum(np.maximum(side, 0)) / part / size for side in (parts, -parts)]
    reach = ndtri((1 + level) / 2)
    gain, loss = (np.abs(wilson(share * size, size, reach) - share) for share in shares)
    rest = (1 - shares[0]) * (1 - shares[1])
    apart = np.sqrt(shares[0] * shares[1] / rest) if rest > _ROUNDING else 0.0
    half = np.sqrt(gain**2 + 2 * apart * gain * loss[::-1] + loss[::-1] ** 2)
    return mean.value + size * part * half * [-1, 1]


def _bootstrap(mean: ClipMean, level: float, resamples: int, key: int) -> np.ndarray:
    """Returns the percentiles [2] of the error over resamples of clips.

    Drawn from the pulls, which leave out what differs between groups, and widened from the normal
    to the t quantile (Hesterberg 2015), without which it is too narrow by a hundredth at 60 clips.
    """
    tail = ndtr(stdtrit(mean.freedom, (1 - level) / 2))
    sums = resampled_sums(mean.pulls, resamples, np.random.default_rng(key))
    return np.quantile(sums, [tail, 1 - tail])


def resampled_sums(
    values: np.ndarray, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """Returns sums [resamples] of as many draws from `values` [C], with replacement, as it has.

    The order of the values does not count.
    """
    kinds, counts = np.unique(values.round(15), return_counts=True)
    size = len(values)
    if len(kinds) <= _DISTINCT:
        return generator.multinomial(size, counts / size, resamples) @ kinds
    ordered = np.sort(values)
    starts = range(0, resamples, _CHUNK)
    draws = (generator.integers(0, size, (min(_CHUNK, resamples - s), size)) for s in starts)
    return np.concatenate([ordered[drawn].sum(1) for drawn in draws])
