"""Charts of entropy and stated probability against correctness."""

import numpy as np

from vreason_jax.evaluation.report.axes import Axis, bottom_axis, nice_axis
from vreason_jax.evaluation.report.markup import Markup, decimal, tag
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.svg import WIDTH, Panel, picture
from vreason_jax.evaluation.statistics.calibration import Reliability
from vreason_jax.evaluation.statistics.clips import ClipMean
from vreason_jax.evaluation.statistics.intervals import t_interval

ROW = 40  # pixels of a method's two dots
LEFT, RIGHT = 150, WIDTH - 96


def reliability_diagram(got: Reliability, style: str, title: str) -> Markup:
    """Returns stated probability against score; a dot's area shows its number of answers."""
    x = nice_axis("probability of the answer's tokens", [0, 1], count=4)
    panel = Panel(x, nice_axis("share right", [0, 1], count=4), height=290)
    panel.line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "diagonal")
    panel.line(got.probability, got.accuracy, style)
    total = got.count.sum()
    for count, stated, right in zip(got.count, got.probability, got.accuracy, strict=True):
        if count:
            words = f"{count} answers: stated {decimal(stated, 2)}, right {decimal(right, 2)}"
            panel.dot(stated, right, style, words, 2.5 + 9 * float(np.sqrt(count / total)))
    return panel.render(title)


def right_and_wrong(story: Story) -> Markup:
    """Returns the mean entropy of right (filled) and wrong (hollow) answers of each method."""
    rows = {
        name: {"right": _mean(curves.entropy_right), "wrong": _mean(curves.entropy_wrong)}
        for name, curves in story.curves.items()
    }
    ends = [end for sides in rows.values() for side in sides.values() if side for end in side[:3]]
    axis = nice_axis("mean entropy of an answer's tokens, nats", ends, count=3)
    parts, top = [], 6.0
    for name, sides in rows.items():
        style, middle = story.tone(name), top + ROW / 2 + 4
        parts.append(tag("text", story.label(name), class_=f"label {style}", x=2, y=middle))
        for y, (side, mean) in zip((top + 11, top + ROW - 11), sides.items(), strict=True):
            parts += _dot(axis, mean, side, style, y) if mean else []
        top += ROW
    parts += bottom_axis(axis, LEFT, RIGHT, top)
    return picture(parts, top + 38, "Entropy of right and wrong answers")


def _mean(over_clips: ClipMean | None) -> tuple[float, float, float, int] | None:
    """Returns lower end, mean, upper end and number of answers, or None without any."""
    if over_clips is None:
        return None
    low, high = t_interval(over_clips) if over_clips.clips > 1 else [over_clips.value] * 2
    return float(low), over_clips.value, float(high), over_clips.questions


def _dot(
    axis: Axis, mean: tuple[float, float, float, int], side: str, style: str, y: float
) -> list[Markup]:
    low, x, high = (axis.place(value, LEFT, RIGHT) for value in mean[:3])
    kind = "dot" if side == "right" else "ring"
    title = tag("title", f"{side}: {decimal(mean[1], 3)} nats")
    return [
        tag("line", class_=f"whisker {style}", x1=low, y1=y, x2=high, y2=y),
        tag("circle", title, class_=f"{kind} {style}", cx=x, cy=y, r=4.5),
        tag("text", f"{side} · {mean[3]:,}", class_="small", x=high + 9, y=y + 4),
    ]
