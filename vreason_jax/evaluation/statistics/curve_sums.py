"""Means along answers of many lengths, without keeping the answers."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Curve:
    """A mean over answers at every token index."""

    mean: np.ndarray  # [T], NaN where no answer has a number
    error: np.ndarray  # [T], standard error over answers, NaN below two
    count: np.ndarray  # [T]


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
