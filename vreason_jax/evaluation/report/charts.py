"""Charts of scores, tokens and seconds, from the lines alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vreason_jax.evaluation.report.axes import Axis, bottom_axis, nice_axis
from vreason_jax.evaluation.report.markup import Markup, decimal, interval, percent, shorten, tag
from vreason_jax.evaluation.report.story import Story
from vreason_jax.evaluation.report.svg import WIDTH, Panel, picture
from vreason_jax.evaluation.results.lines import STAGES

ROW = 24  # pixels of a row of a forest plot
BAR = 9  # of a bar
LEFT, RIGHT = 4, WIDTH - 36  # where bars begin, and where the longest end


def forest(
    rows: Mapping[str, dict[str, Any]],
    tones: Mapping[str, str],
    label: Callable[[str], str] = lambda name: shorten(name, 22),
) -> Markup:
    """Returns paired differences with their intervals, one per row, in percentage points."""
    left, right, bottom = 140, WIDTH - 138, 10 + ROW * len(rows)
    ends = [100 * row[key] for row in rows.values() for key in ("low", "high")]
    axis = nice_axis("difference, percentage points; right of 0 is better", [*ends, 0.0], count=3)
    zero = axis.place(0.0, left, right)
    parts = [tag("line", class_="zero", x1=zero, y1=4, x2=zero, y2=bottom)]
    for place, (name, row) in enumerate(rows.items()):
        y, style = 10 + ROW * (place + 0.5), tones[name]
        low, middle, high = _places(axis, row, left, right)
        words = f"{decimal(100 * row['value'], sign=True)} [{interval(row['low'], row['high'])}]"
        title = tag("title", f"{name}: {words}")
        parts += [
            tag("text", tag("title", name), label(name), x=2, y=y + 4),
            tag("line", class_=f"whisker {style}", x1=low, y1=y, x2=high, y2=y),
            tag("circle", title, class_=f"dot {style}", cx=middle, cy=y, r=4.5),
            tag("text", words, x=WIDTH, y=y + 4, text_anchor="end"),
        ]
    parts += bottom_axis(axis, left, right, bottom)
    return picture(parts, bottom + 38, "Paired differences with their 95 % intervals")


def score_against_tokens(story: Story) -> Markup:
    """Returns each method's score against its mean tokens, with 95 % intervals."""
    points = {
        name: (method["tokens"], method["score"])
        for name, method in story.methods.items()
        if method["tokens"] is not None
    }
    x = nice_axis("mean tokens per answer", [tokens for tokens, _ in points.values()], zero=True)
    ends = [100 * score[key] for _, score in points.values() for key in ("low", "high")]
    y = nice_axis("score, %", ends, limits=(0, 100), count=4)
    panel = Panel(x, y, names=map(story.label, points))
    for name, (tokens, score) in points.items():
        style, value = story.tone(name), 100 * score["value"]
        panel.whisker((tokens, 100 * score["low"]), (tokens, 100 * score["high"]), style)
        title = f"{name}: {percent(score['value'])} % at {decimal(tokens)} tokens"
        panel.dot(tokens, value, style, title, 5)
        panel.beside(tokens, value, story.label(name), style)
    return panel.render("Score against tokens")


def score_by_budget(story: Story) -> Markup:
    """Returns each method's score with every answer cut at a budget of tokens."""
    equal = story.summary["equal_tokens"]
    budgets = np.array(equal["curve"]["budgets"], float)
    curves = {name: 100 * np.array(values) for name, values in equal["curve"]["score"].items()}
    x = nice_axis("budget, tokens per answer", budgets, zero=True)
    y = nice_axis("score within the budget, %", np.concatenate(list(curves.values())), zero=True)
    panel = Panel(x, y, names=map(story.label, curves))
    for at in equal["budgets"]:
        mark, _ = panel.at(at["tokens"], 0)
        panel.add("line", class_="zero", x1=mark, y1=panel.top, x2=mark, y2=panel.bottom)
    for name, values in curves.items():
        panel.line(budgets, values, story.tone(name))
        panel.end_label(budgets[-1], values[-1], story.label(name), story.tone(name))
    return panel.render("Score by budget of tokens")


def task_bars(story: Story, tasks: Sequence[str]) -> Markup:
    """Returns the score of every method in each task as bars, with 95 % intervals."""
    block = 28 + (BAR + 2) * len(story.names)
    bottom = float(block * len(tasks))
    axis = nice_axis("score, %", [0, 100], count=4)
    parts = []
    for x in (axis.place(tick, LEFT, RIGHT) for tick in axis.ticks):
        parts.append(tag("line", class_="grid", x1=x, y1=0, x2=x, y2=bottom))
    for place, task in enumerate(tasks):
        top = place * block
        found = {name: m["tasks"].get(task) for name, m in story.methods.items()}
        size = max(scores["score"]["questions"] for scores in found.values() if scores)
        parts.append(tag("text", f"{shorten(task, 48)} · {size:,}", x=LEFT, y=top + 14))
        for row, (name, scores) in enumerate(found.items()):
            y = top + 20 + row * (BAR + 2)
            if scores:
                parts.append(_bar(axis, scores["score"], name, story.tone(name), y))
        parts += _chance(axis, found.values(), top + 18, top + block - 6)
    parts += bottom_axis(axis, LEFT, RIGHT, bottom)
    return picture(parts, bottom + 38, "Score by task")


def _bar(axis: Axis, row: dict[str, Any], name: str, style: str, y: float) -> Markup:
    low, value, high = _places(axis, row, LEFT, RIGHT)
    words = f"{name}: {percent(row['value'])} %, 95 % interval {interval(row['low'], row['high'])}"
    middle, width = y + BAR / 2, max(value - LEFT, 0.5)
    return tag(
        "g",
        tag("title", words),
        tag("rect", class_=f"bar {style}", x=LEFT, y=y, width=width, height=BAR),
        tag("line", class_="error", x1=low, y1=middle, x2=high, y2=middle),
        tag("text", percent(row["value"]), class_="small", x=high + 6, y=y + BAR - 0.5),
    )


def _chance(axis: Axis, found: Iterable[Any], top: float, bottom: float) -> list[Markup]:
    """Returns a mark for the best constant answer of a task; none where rows have graded scores."""
    known = [s["constant"] for s in found if s and s["constant"] is not None and not s["mra"]]
    if not known:
        return []
    x = axis.place(100 * max(known), LEFT, RIGHT)
    title = tag("title", f"best constant answer: {percent(max(known))} %")
    return [tag("line", title, class_="chance", x1=x, y1=top, x2=x, y2=bottom)]


def stage_bars(story: Story) -> Markup:
    """Returns the seconds per answer by stage, one stacked bar per method."""
    row, top = 38, 22
    totals = [method["seconds"]["total"] or 0.0 for method in story.methods.values()]
    axis = nice_axis("seconds per answer", totals, zero=True)
    parts, x = [], float(LEFT)
    for place, stage in enumerate(STAGES):
        parts.append(tag("rect", class_=f"t{place}", x=x, y=2, width=10, height=10))
        parts.append(tag("text", stage, x=x + 14, y=11))
        x += 32 + 6.5 * len(stage)
    for name, method in story.methods.items():
        words, style = shorten(name, 48), f"label {story.tone(name)}"
        parts.append(tag("text", words, class_=style, x=LEFT, y=top + 12))
        parts += _stack(axis, method["seconds"], top + 17)
        top += row
    parts += bottom_axis(axis, LEFT, RIGHT, top + 4)
    return picture(parts, top + 42, "Seconds per answer by stage")


def _stack(axis: Axis, seconds: dict[str, float], y: float) -> list[Markup]:
    parts, done = [], 0.0
    for place, stage in enumerate(STAGES):
        share = seconds.get(stage) or 0.0
        start, stop = (axis.place(value, LEFT, RIGHT) for value in (done, done + share))
        title = tag("title", f"{stage}: {decimal(share, 3)} s")
        # A hairline of the page's colour parts the stages.
        size = {"x": start, "y": y, "width": max(stop - start - 0.75, 0), "height": 13}
        parts.append(tag("rect", title, class_=f"t{place}", **size))
        done += share
    end = axis.place(done, LEFT, RIGHT) + 6
    return [*parts, tag("text", decimal(seconds["total"], 2), class_="small", x=end, y=y + 11)]


def _places(axis: Axis, row: dict[str, Any], left: float, right: float) -> list[float]:
    return [axis.place(100 * row[key], left, right) for key in ("low", "value", "high")]
