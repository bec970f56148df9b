"""Means, intervals and tests over the scores of an evaluation, in NumPy.

A score table is float [Q, S]: questions by seeds, NaN where a seed has no answer. The sample is the
set of questions: the answers of a question under several seeds are averaged first.
"""

import dataclasses
import warnings
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
RESAMPLES = 10_000
KEY = 0  # of the bootstrap's generator: the same lines give the same interval
_CHUNK = 1_000  # resamples drawn at once


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over questions; fields that need more questions or seeds are NaN."""

    value: float
    standard_error: float  # over questions
    low: float  # 95 % interval: Wilson's where every question is right or wrong, else normal
    high: float
    questions: int
    seeds: int
    seed_std: float  # of the means of the single seeds


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Stated probability against accuracy in bins of equal width; NaN in empty bins."""

    edges: np.ndarray  # [bins + 1]
    count: np.ndarray  # [bins]
    probability: np.ndarray  # [bins], mean stated
    accuracy: np.ndarray  # [bins]
    error: float  # expected calibration error, 0..1


@dataclasses.dataclass(frozen=True)
class Curve:
    """A mean over answers at every token index."""

    mean: np.ndarray  # [T], NaN where no answer has a number
    error: np.ndarray  # [T], standard error over answers, NaN below two
    count: np.ndarray  # [T]


def estimate(table: np.ndarray) -> Estimate:
    """Returns mean, standard error and interval of a score table [Q, S], Q >= 1."""
    questions = question_means(table)
    value, size = float(np.mean(questions)), len(questions)
    error = standard_error(questions)
    if np.all((questions == 0) | (questions == 1)):
        low, high = wilson(int(np.sum(questions)), size)
    else:
        reach = _z(LEVEL) * error
        low, high = max(0.0, value - reach), min(1.0, value + reach)
    seeds = _nanmean(table, axis=0)
    std = float(np.std(seeds, ddof=1)) if len(seeds) > 1 else np.nan
    return Estimate(value, error, low, high, size, len(seeds), std)


def question_means(table: np.ndarray) -> np.ndarray:
    """Returns the score of each question [Q], averaged over the seeds that answered it."""
    return _nanmean(table, axis=1)


def standard_error(values: np.ndarray) -> float:
    """Returns the standard error of the mean of independent values; NaN below two."""
    if len(values) < 2:
        return np.nan
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def wilson(successes: int, size: int, level: float = LEVEL) -> tuple[float, float]:
    """Returns Wilson's interval for a proportion (Wilson 1927), without continuity correction."""
    if size == 0:
        return np.nan, np.nan
    z2, share = _z(level) ** 2, successes / size
    middle = (share + z2 / (2 * size)) / (1 + z2 / size)
    reach = np.sqrt(z2 * (share * (1 - share) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    # The bounds of 0 and of all are exact; rounding would leave them a hair off.
    low = 0.0 if successes == 0 else float(middle - reach)
    return low, 1.0 if successes == size else float(middle + reach)


def paired_bootstrap(
    differences: np.ndarray, *, level: float = LEVEL, resamples: int = RESAMPLES, key: int = KEY
) -> tuple[float, float]:
    """Returns the percentile interval of the mean of paired differences [Q], one per question.

    Drawing Q questions with replacement is a multinomial draw over the distinct differences. This
    is fast, since scores take few values, and independent of the order of the lines.
    """
    values, counts = np.unique(differences, return_counts=True)
    size, generator = len(differences), np.random.default_rng(key)
    means = []
    for start in range(0, resamples, _CHUNK):
        draws = min(_CHUNK, resamples - start)
        means.append(generator.multinomial(size, counts / size, draws) @ values / size)
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def discordant(first: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Returns the numbers of questions that only `first`, and only `other`, has right.

    Scores [Q] are means over seeds: a question is right if more than half of its seeds are.
    """
    first, other = np.asarray(first) > 0.5, np.asarray(other) > 0.5
    return int(np.sum(first & ~other)), int(np.sum(other & ~first))


def mcnemar(only_first: int, only_other: int) -> float:
    """Returns McNemar's exact two-sided p of the two discordant counts (binomial, p = 1/2)."""
    total = only_first + only_other
    term = tail = 1  # whole numbers: exact, and without overflow at any count
    for k in range(min(only_first, only_other)):
        term = term * (total - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**total)


def reliability(probability: np.ndarray, score: np.ndarray, bins: int = 10) -> Reliability:
    """Returns stated probabilities [A] against scores [A], and the expected calibration error.

    Naeini et al. 2015: the mean of |accuracy - probability| over the bins, weighted by answers.
    """
    probability, score = np.asarray(probability, float), np.asarray(score, float)
    place = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        stated = np.bincount(place, probability, bins) / count
        right = np.bincount(place, score, bins) / count
    gaps = np.abs(right - stated)[count > 0] * count[count > 0]
    error = float(np.sum(gaps) / len(score)) if len(score) else np.nan
    return Reliability(np.linspace(0, 1, bins + 1), count, stated, right, error)


class CurveSum:
    """Sums answers of any lengths for a Curve; memory does not grow with their number."""

    def __init__(self, length: int):
        self._count = np.zeros(length, np.int64)
        self._sum = np.zeros(length)
        self._squares = np.zeros(length)

    def add(self, values: np.ndarray) -> None:
        """Adds one answer's numbers [t]; leaves out NaN and numbers past the length."""
        values = np.asarray(values[: len(self._sum)], np.float64)
        finite = np.isfinite(values)
        values = np.where(finite, values, 0.0)
        self._count[: len(values)] += finite
        self._sum[: len(values)] += values
        self._squares[: len(values)] += values * values

    def curve(self) -> Curve:
        """Returns the curve up to the last index of the longest answer."""
        length = int(np.max(np.flatnonzero(self._count), initial=-1)) + 1
        count, total = self._count[:length], self._sum[:length]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
            spread = np.maximum(self._squares[:length] - total * mean, 0.0)
            error = np.where(count > 1, np.sqrt(spread / (count - 1) / count), np.nan)
        return Curve(mean, error, count)


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _nanmean(table: np.ndarray, axis: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a seed without any answer is NaN
        return np.nanmean(table, axis=axis)
