"""What a comparison could have told: the smallest difference, questions needed, equivalence."""

import dataclasses
import math
from collections.abc import Callable
from typing import cast

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtr

from vreason_jax.evaluation.statistics.clips import ClipMean
from vreason_jax.evaluation.statistics.intervals import FEW, LEVEL, few_interval, t_interval

POWER = 0.8
PAPER_GAIN = 0.014  # V-Reason's over its base model, mean of its benchmarks
MARGIN = 0.01  # what counts as no worse
_Z_TEST, _Z_POWER = ndtri((1 + LEVEL) / 2), ndtri(POWER)


def told(mean: ClipMean) -> dict[str, float | None]:
    """Returns what the questions of a comparison could tell, by the names of `summary.json`."""
    square = mean_square(mean)
    clips = clips_needed(PAPER_GAIN, square)
    return {
        "smallest_difference": smallest_difference(mean.clips, square),
        "questions_needed": np.ceil(clips * mean.questions / mean.clips),
        "no_worse_by": max(0.0, -_interval(mean, 2 * LEVEL - 1)[0]),
        "no_worse_p": no_worse(mean),
        "equal_p": equal(mean),
    }


def mean_square(mean: ClipMean) -> float:
    """Returns the mean square of the clips' differences, in shares of a mean clip's weight.

    With one right or wrong answer a clip it is the share of answers that differ.
    """
    return float(mean.clips * np.sum(mean.parts**2))


def clips_needed(difference: float, square: float) -> float:
    """Returns how many clips show a difference with 80 % power at p < 0.05, two-sided.

    Connor's (1987) formula for paired answers; `square` is `mean_square`. It is at least
    `difference` itself: for a difference of so much, so many answers must differ.
    """
    square = max(square, difference)
    spread = np.sqrt(square - difference**2)
    return float(((_Z_TEST * np.sqrt(square) + _Z_POWER * spread) / difference) ** 2)


def smallest_difference(clips: int, square: float) -> float | None:
    """Returns the difference that so many clips show with 80 % power; None if none up to 1."""
    if clips_needed(1.0, square) > clips:
        return None
    return _root(lambda d: clips_needed(d, square) - clips, 1e-9, 1.0)


def no_worse(mean: ClipMean, margin: float = MARGIN) -> float:
    """Returns the one-sided p of a difference of -`margin` or below.

    By t over clips, as in TOST (Schuirmann 1987); with few clips that differ, from the level at
    which their interval ends at -`margin`, 0.5 at most.
    """
    if mean.changed >= FEW:
        reach = mean.value + margin
        # All clips may differ alike.
        t = reach / mean.error if mean.error else math.copysign(math.inf, reach)
        return float(stdtr(mean.freedom, -t))
    surest, least = 1e-12, 0.5

    def above(tail: float) -> float:
        return float(_interval(mean, 1 - 2 * tail)[0]) + margin

    if above(least) <= 0:
        return least
    return surest if above(surest) >= 0 else _root(above, surest, least)


def equal(mean: ClipMean, margin: float = MARGIN) -> float:
    """Returns the p of TOST: of a difference of `margin` or more, in either direction."""
    other = dataclasses.replace(mean, value=-mean.value, parts=-mean.parts, pulls=-mean.pulls)
    return max(no_worse(mean, margin), no_worse(other, margin))


def _interval(mean: ClipMean, level: float) -> np.ndarray:
    return few_interval(mean, level) if mean.changed < FEW else t_interval(mean, level)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return cast(float, brentq(function, low, high))
