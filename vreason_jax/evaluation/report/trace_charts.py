"""Charts along the tokens of an answer: means over all traces."""

from collections.abc import Mapping

import numpy as np

from vreason_jax.evaluation.report.axes import Axis, nice_axis
from vreason_jax.evaluation.report.markup import Markup
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.svg import Panel, thin
from vreason_jax.evaluation.statistics.curves import Curve

POINTS = 160  # of a line
REACH = 1.96  # standard errors of a 95 % band
TOKEN = "token of the answer"


def mean_curves(
    story: Story, key: str, unit: str, *, peaks: str | None = None, axis: Axis | None = None
) -> Markup | None:
    """Returns a mean along the answer with its 95 % band, one line per method, or None.

    `peaks` names the field of `Peaks` to mark. Methods whose value is always 0, such as α in plain
    decoding, are left out.
    """
    curves = {
        name: method.curves[key]
        for name, method in story.curves.items()
        if np.any(np.nan_to_num(method.curves[key].mean))
    }
    if not curves:
        return None
    lines = {name: _thinned(curve) for name, curve in curves.items()}
    longest = max(len(curve.mean) for curve in curves.values())
    tops = np.concatenate([high for *_, high in lines.values()])
    room = 1.15 if peaks else 1.0  # for the numbers above the peaks
    x = nice_axis(TOKEN, [0, max(longest - 1, 1)], zero=True)
    y = axis or nice_axis(unit, room * np.maximum(tops, 0), zero=True)
    panel = Panel(x, y, names=map(story.label, curves))
    for name, (tokens, _, low, high) in lines.items():
        panel.band(tokens, low, high, story.tone(name))
    for name, (tokens, mean, *_) in lines.items():
        panel.line(tokens, mean, story.tone(name))
        last = np.flatnonzero(np.isfinite(mean))[-1]
        end = float(tokens[last]), float(mean[last])
        panel.end_label(*end, story.label(name), story.tone(name))
    if peaks:
        _mark_peaks(panel, story, curves, peaks)
    return panel.render(f"{unit} along the answer")


def _mark_peaks(panel: Panel, story: Story, curves: Mapping[str, Curve], field: str) -> None:
    for name, curve in curves.items():
        at = getattr(story.curves[name].peaks, field)
        if at is not None:
            # Of many methods the numbers would cover each other; the table has them.
            words = f"{at}" if len(curves) <= 4 else None
            panel.mark(at, float(curve.mean[at]), words, story.tone(name))


def _thinned(curve: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns tokens, mean, and the band's edges, at POINTS points or fewer."""
    tokens = thin(np.arange(len(curve.mean), dtype=float), POINTS)
    mean, error = thin(curve.mean, POINTS), REACH * thin(curve.error, POINTS)
    return tokens, mean, mean - error, mean + error


def alive_curves(story: Story) -> Markup:
    """Returns the share of answers that go on at each token, in percent."""
    alive = {name: 100 * m.alive / m.answers for name, m in story.curves.items()}
    longest = max(len(values) for values in alive.values())
    x = nice_axis(TOKEN, [0, max(longest, 1)], zero=True)
    y = nice_axis("answers that go on, %", [0, 100], count=4)
    panel = Panel(x, y, names=map(story.label, alive))
    for name, values in alive.items():
        tokens = np.arange(len(values) + 1, dtype=float)
        values = np.append(values, 0.0)
        panel.line(thin(tokens, POINTS), thin(values, POINTS), story.tone(name))
        half = int(np.argmin(np.abs(values - 50)))
        panel.end_label(tokens[half], values[half], story.label(name), story.tone(name))
    return panel.render("Answers that go on at each token")
