"""Charts along the tokens of an answer: means over all traces, and single traces."""

from collections.abc import Mapping

import numpy as np

from vreason_jax.evaluation.report.axes import Axis, nice_axis
from vreason_jax.evaluation.report.markup import Markup, decimal, tag
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.svg import Panel, label_room, thin
from vreason_jax.evaluation.statistics.curve_sums import Curve

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
    panel = Panel(x, y, right=label_room(story.label(name) for name in curves))
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
    panel = Panel(x, y, right=label_room(story.label(name) for name in alive))
    for name, values in alive.items():
        tokens = np.arange(len(values) + 1, dtype=float)
        values = np.append(values, 0.0)
        panel.line(thin(tokens, POINTS), thin(values, POINTS), story.tone(name))
        half = int(np.argmin(np.abs(values - 50)))
        panel.end_label(tokens[half], values[half], story.label(name), story.tone(name))
    return panel.render("Answers that go on at each token")


def spark(trace: Mapping[str, np.ndarray], style: str) -> Markup:
    """Returns one answer's entropy and EMA over the bands of α, with ‖ΔV‖ below."""
    entropy, size = trace["entropy"], len(trace["entropy"])
    steers = bool(np.any(np.nan_to_num(trace["delta_norm"])))
    x = nice_axis("token", [0, max(size - 1, 1)], zero=True)
    x = Axis(x.label, -0.5, max(size - 0.5, 1), tuple(t for t in x.ticks if t < size))
    y = nice_axis("nats", entropy, zero=True, count=2)
    panel = Panel(x, y, height=126, left=34)
    for sign, band in ((1, "explore"), (-1, "exploit")):
        _alpha_bands(panel, trace["alpha"], sign, band)
    tokens = thin(np.arange(size, dtype=float), POINTS)
    panel.line(tokens, thin(entropy, POINTS), "faint")
    panel.line(tokens, thin(trace["ema"], POINTS), style)
    words = f"{size} tokens · mean entropy {decimal(float(np.nanmean(entropy)), 2)} nats"
    if steers:
        words += f" · ‖ΔV‖ at the end {decimal(float(trace['delta_norm'][-1]), 2)}"
    panel.text(panel.right, 11, words, "small", "end")
    return panel.render("Entropy and its EMA along this answer")


def _alpha_bands(panel: Panel, alpha: np.ndarray, sign: int, style: str) -> None:
    """Returns one path over the tokens whose α has a sign, half a token to both sides of each."""
    edges = np.diff(np.concatenate([[0], (alpha == sign).astype(int), [0]]))
    path = ""
    for start, stop in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        left, right = (panel.at(v - 0.5, panel.y.low)[0] for v in (start, stop))
        path += f"M{left:.1f} {panel.top}H{right:.1f}V{panel.bottom}H{left:.1f}Z"
    if path:
        panel.add("path", class_=style, d=path)


def legend() -> Markup:
    """Returns the key of `spark`."""
    items = {
        "faint": "entropy",
        "s0": "its EMA, in the method's colour",
        "explore": "α = +1: entropy is raised",
        "exploit": "α = −1: entropy is lowered",
    }
    entries = [tag("span", tag("i", class_=style), words) for style, words in items.items()]
    return tag("p", entries, class_="key")
