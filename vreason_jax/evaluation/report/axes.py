"""Axes with round marks."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from vreason_jax.evaluation.report.markup import MINUS, Markup, tag


@dataclasses.dataclass(frozen=True)
class Axis:
    """A linear axis: its quantity and unit, its range, and its marks."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]

    @staticmethod
    def text(tick: float) -> str:
        """Returns the text of a mark."""
        return f"{tick:,.10g}".replace("-", MINUS)

    def place(self, value: float, start: float, stop: float) -> float:
        """Returns the place of a value between two pixels."""
        return start + (value - self.low) / (self.high - self.low) * (stop - start)


def nice_axis(
    label: str,
    values: Sequence[float] | np.ndarray,
    *,
    zero: bool = False,
    count: int = 5,
    limits: tuple[float, float] | None = None,
) -> Axis:
    """Returns an axis with round marks around all finite values, within `limits` if given."""
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    low, high = (float(numbers.min()), float(numbers.max())) if len(numbers) else (0.0, 1.0)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    if high - low < 1e-9:
        low, high = (low, low + 1) if zero else (low - 0.5, high + 0.5)
    step = _step((high - low) / count)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if limits is not None:
        low, high = max(low, limits[0]), min(high, limits[1])
    marks = np.arange(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1) * step
    ticks = tuple(float(f"{mark:.10g}") for mark in marks)
    return Axis(label, low, high, ticks)


def bottom_axis(axis: Axis, left: float, right: float, bottom: float) -> list[Markup]:
    """Returns a horizontal axis with its marks, and its label below."""
    parts = [tag("line", class_="base", x1=left, y1=bottom, x2=right, y2=bottom)]
    for tick in axis.ticks:
        x = axis.place(tick, left, right)
        parts.append(tag("line", class_="base", x1=x, y1=bottom, x2=x, y2=bottom + 4))
        parts.append(tag("text", axis.text(tick), x=x, y=bottom + 16, text_anchor="middle"))
    middle = (left + right) / 2
    words = tag("text", axis.label, class_="unit", x=middle, y=bottom + 32, text_anchor="middle")
    return [*parts, words]


def _step(raw: float) -> float:
    power = 10 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
