"""Stated probabilities against what was right."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Stated probability against accuracy in bins of equal width; NaN in empty bins."""

    count: np.ndarray  # [bins]
    probability: np.ndarray  # [bins], mean stated
    accuracy: np.ndarray  # [bins]
    error: float  # expected calibration error, 0..1


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
    return Reliability(count, stated, right, error)
