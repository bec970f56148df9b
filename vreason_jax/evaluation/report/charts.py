"""Charts of scores, tokens and seconds: from the lines alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vreason_jax.evaluation.report.markup import Markup, decimal, interval, percent, shorten, tag
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.svg import (
    WIDTH, Panel, bottom_axis, label_room, nice_axis,
)  # fmt: skip
from vreason_jax.evaluation.statistics import Reliability, standard_error

ROW = 24  # pixels of a row of a forest plot
STAGES = ("video", "vision", "prefill", "decode")


def forest(rows: Mapping[str, dict[str, Any]], tones: Mapping[str, str], unit: str) -> Markup:
    """Returns paired differences with their intervals, one a row, in percentage points."""
    left, right = 132, WIDTH - 116
    ends = [100 * row[key] for row in rows.values() for key in ("low", "high")]
    axis = nice_axis(unit, [*ends, 0.0], count=3)
    bottom = 10 + ROW * len(rows)
    zero = axis.place(0.0, left, right)
    parts = [tag("line", class_="zero", x1=zero, y1=4, x2=zero, y2=bottom)]
    for place, (name, row) in enumerate(rows.items()):
        y = 10 + ROW * (place + 0.5)
        low, middle, high = (
            axis.place(100 * row[key], left, right) for key in ("low", "value", "high")
        )
        style = tones[name]
        words = f"{decimal(100 * row['value'], sign=True)}  [{interval(row['low'], row['high'])}]"
        parts += [
            tag("text", tag("title", name), shorten(name, 20), class_="name", x=2, y=y + 4),
            tag("line", class_=f"whisker {style}", x1=low, y1=y, x2=high, y2=y),
            tag("circle", tag("title", f"{name}: {words}"), class_=f"dot {style}", cx=middle, cy=y, r=4.5),
            tag("text", words, class_="number", x=WIDTH, y=y + 4, text_anchor="end"),
        ]  # fmt: skip
    parts += bottom_axis(axis, left, right, bottom)
    return _picture(parts, bottom + 38, "Paired differences with their 95 % intervals")


def score_against_tokens(story: Story) -> Markup:
    """Returns each method's score against the tokens it writes, with 95 % intervals."""
    points = {
        name: (method["tokens"], method["score"])
        for name, method in story.methods.items()
        if method["tokens"] is not None
    }
    x = nice_axis("mean tokens per answer", [tokens for tokens, _ in points.values()])
    ends = [100 * score[key] for _, score in points.values() for key in ("low", "high")]
    y = nice_axis("score, %", ends, limits=(0, 100))
    panel = Panel(x, y, right=label_room(list(points)))
    for name, (tokens, score) in points.items():
        style, value = story.tone(name), 100 * score["value"]
        panel.whisker((tokens, 100 * score["low"]), (tokens, 100 * score["high"]), style)
        title = f"{name}: {percent(score['value'])} % at {decimal(tokens)} tokens"
        panel.dot(tokens, value, style, title, 5)
        panel.end_label(tokens + 0.012 * (x.high - x.low), value, shorten(name, 18), style)
    return panel.render("Score against tokens")


def score_by_budget(story: Story) -> Markup:
    """Returns each method's score with every answer cut at a budget of tokens."""
    equal = story.summary["equal_tokens"]
    budgets = np.array(equal["curve"]["budgets"], float)
    curves = {name: 100 * np.array(values) for name, values in equal["curve"]["score"].items()}
    x = nice_axis("budget, tokens per answer", budgets, zero=True)
    y = nice_axis("score within the budget, %", np.concatenate(list(curves.values())), zero=True)
    panel = Panel(x, y, right=label_room(list(curves)))
    mark, _ = panel.at(equal["budget"], 0)
    panel.add("line", class_="zero", x1=mark, y1=panel.top, x2=mark, y2=panel.bottom)
    words = f"{equal['budget']} tokens"
    late = mark > (panel.left + panel.right) / 2
    panel.text(
        mark + (-5 if late else 5), panel.top + 8, words, "small", "end" if late else "start"
    )
    for name, values in curves.items():
        panel.line(budgets, values, story.tone(name))
        panel.end_label(budgets[-1], values[-1], shorten(name, 18), story.tone(name))
    return panel.render("Score by budget of tokens")


def task_bars(story: Story, tasks: Sequence[str]) -> Markup:
    """Returns the score of every method in each task as bars, with 95 % intervals."""
    bar, left, right = 9, 4, WIDTH - 44
    block = 20 + (bar + 2) * len(story.names) + 8
    parts, top = [], 0.0
    axis = nice_axis("score, %", [0, 100], count=4)
    for tick in axis.ticks:
        x = axis.place(tick, left, right)
        parts.append(tag("line", class_="grid", x1=x, y1=0, x2=x, y2=block * len(tasks)))
    for task in tasks:
        rows = {
            name: m["tasks"][task]["score"]
            for name, m in story.methods.items()
            if task in m["tasks"]
        }
        size = max(row["questions"] for row in rows.values())
        parts.append(
            tag("text", f"{shorten(task, 48)} · {size}", class_="name", x=left, y=top + 14)
        )
        for place, (name, row) in enumerate(rows.items()):
            y = top + 20 + place * (bar + 2)
            parts.append(_bar(axis, row, name, story.tone(name), y, bar, left, right))
        top += block
    parts += bottom_axis(axis, left, right, top)
    return _picture(parts, top + 38, "Score by task")


def _bar(axis, row, name, style, y, height, left, right) -> Markup:  # fmt: skip
    low, value, high = (axis.place(100 * row[key], left, right) for key in ("low", "value", "high"))
    words = f"{name}: {percent(row['value'])} %, 95 % interval {interval(row['low'], row['high'])}"
    middle = y + height / 2
    return tag(
        "g",
        tag("title", words),
        tag("rect", class_=f"bar {style}", x=left, y=y, width=max(value - left, 0.5), height=height),
        tag("line", class_="error", x1=low, y1=middle, x2=high, y2=middle),
        tag("text", percent(row["value"]), class_="small number", x=WIDTH, y=y + height - 1, text_anchor="end"),
    )  # fmt: skip


def stage_bars(story: Story) -> Markup:
    """Returns the seconds of an answer by stage, one stacked bar a method."""
    left, right, row = 4, WIDTH - 44, 38
    totals = [method["seconds"]["total"] or 0.0 for method in story.methods.values()]
    axis = nice_axis("seconds per answer", totals, zero=True)
    parts, x = [], float(left)
    for place, stage in enumerate(STAGES):
        parts.append(tag("rect", class_=f"stage t{place}", x=x, y=2, width=10, height=10))
        parts.append(tag("text", stage, x=x + 14, y=11))
        x += 34 + 6.5 * len(stage)
    top = 22
    for name, method in story.methods.items():
        parts.append(
            tag("text", shorten(name, 48), class_=f"label {story.tone(name)}", x=left, y=top + 12)
        )
        parts += _stack(axis, method["seconds"], top + 17, left, right)
        top += row
    parts += bottom_axis(axis, left, right, top + 4)
    return _picture(parts, top + 42, "Seconds per answer by stage")


def _stack(axis, seconds, y, left, right) -> list[Markup]:  # fmt: skip
    parts, done = [], 0.0
    for place, stage in enumerate(STAGES):
        share = seconds.get(stage) or 0.0
        start, stop = (axis.place(v, left, right) for v in (done, done + share))
        title = tag("title", f"{stage}: {decimal(share, 3)} s")
        # A hairline of the page's colour parts the stages.
        width = max(stop - start - 0.75, 0)
        parts.append(
            tag("rect", title, class_=f"stage t{place}", x=start, y=y, width=width, height=13)
        )
        done += share
    words = decimal(seconds["total"], 2)
    return [*parts, tag("text", words, class_="small number", x=WIDTH, y=y + 11, text_anchor="end")]


def reliability_diagram(got: Reliability, style: str, title: str) -> Markup:
    """Returns stated probability against score; the dots' area is the number of answers."""
    x = nice_axis("probability of the answer's tokens", [0, 1], count=4)
    panel = Panel(x, nice_axis("share right", [0, 1], count=4), height=290)
    panel.line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "diagonal")
    panel.line(got.probability, got.accuracy, style)
    for count, stated, right in zip(got.count, got.probability, got.accuracy, strict=True):
        if count:
            words = f"{count} answers: stated {decimal(stated, 2)}, right {decimal(right, 2)}"
            panel.dot(
                stated, right, style, words, 2.5 + 9 * float(np.sqrt(count / got.count.sum()))
            )
    return panel.render(title)


def right_and_wrong(story: Story) -> Markup:
    """Returns the mean entropy of right (filled) and wrong (hollow) answers of each method."""
    rows = {
        name: {"right": _mean(curves.entropy_right), "wrong": _mean(curves.entropy_wrong)}
        for name, curves in story.curves.items()
    }
    left, right, row = 132, WIDTH - 16, 40
    ends = [end for sides in rows.values() for side in sides.values() if side for end in side[:3]]
    axis = nice_axis("mean entropy of an answer's tokens, nats", ends, count=4)
    parts, bottom = [], 6.0
    for name, sides in rows.items():
        style = story.tone(name)
        words = shorten(name, 20)
        parts.append(tag("text", words, class_=f"label {style}", x=2, y=bottom + row / 2 + 4))
        for y, (side, mean) in zip((bottom + 11, bottom + row - 11), sides.items(), strict=True):
            parts += _mean_dot(axis, mean, side, style, y, left, right) if mean else []
        bottom += row
    parts += bottom_axis(axis, left, right, bottom)
    return _picture(parts, bottom + 38, "Entropy of right and wrong answers")


def _mean(values: np.ndarray) -> tuple[float, float, float, int] | None:
    """Lower end, mean, upper end and number; None without values."""
    if not len(values):
        return None
    error = standard_error(values)
    mean, reach = float(np.mean(values)), 1.96 * error if np.isfinite(error) else 0.0
    return mean - reach, mean, mean + reach, len(values)


def _mean_dot(axis, mean, side, style, y, left, right) -> list[Markup]:  # fmt: skip
    low, x, high = (axis.place(value, left, right) for value in mean[:3])
    kind = "dot" if side == "right" else "ring"
    late = high + 88 > right  # no room for "wrong · 1,234" behind it
    anchor, place = ("end", low - 8) if late else ("start", high + 8)
    words = f"{side} · {mean[3]:,}"
    title = tag("title", f"{side}: {decimal(mean[1], 3)} nats")
    return [
        tag("line", class_=f"whisker {style}", x1=low, y1=y, x2=high, y2=y),
        tag("circle", title, class_=f"{kind} {style}", cx=x, cy=y, r=4.5),
        tag("text", words, class_="small", x=place, y=y + 4, text_anchor=anchor),
    ]


def _picture(parts: Sequence[Markup], height: float, title: str) -> Markup:
    box = f"0 0 {WIDTH} {height:g}"
    return tag("svg", parts, viewBox=box, role="img", aria_label=title, class_="chart")
