"""Sections about scores, from the lines alone."""

from typing import Any

from vreason_jax.evaluation.report import charts, tables
from vreason_jax.evaluation.report.markup import (
    Child,
    Markup,
    decimal,
    interval,
    keep_units,
    p_value,
    tag,
)
from vreason_jax.evaluation.report.story import Story, figure, grid, section

FORESTS = 8  # methods that are shown by task
SENTENCES = 4  # comparisons that are told one by one


def results(story: Story) -> Markup:
    """Returns the results in words, as intervals, and as a table."""
    note = (
        "± is the standard error over questions; several seeds of a question are averaged first. "
        "Lenient: the answer is also found where the tags are missing or wordy. Seconds are an "
        "answer's share: what several answers used together is divided among them."
    )
    found = [tag("p", keep_units(line)) for line in verdicts(story)]
    forest = _forest(story) if found else None
    return section(
        "results",
        "Results",
        grid(tag("div", found, class_="verdicts"), forest) if found else None,
        figure("Main results", note, tables.results(story), wide=True),
        _changes(story),
    )


def _changes(story: Story) -> Markup | None:
    if not any(m[key] is not None for m in story.methods.values() for key in tables.CHANGES):
        return None
    note = (
        "Changed: the answer's tokens are other than the first method's. Mean |Δlogit| and KL: "
        "both methods read the first one's answer token by token, the controller at work; of the "
        "distributions that are drawn from, at temperature 1. A dash: not compared."
    )
    return figure("What a method changes", note, tables.changes(story), wide=True)


def verdicts(story: Story) -> list[str]:
    """Returns the comparisons in words that the intervals support.

    Few comparisons get a sentence each; many get one with the number of intervals beside 0.
    """
    if len(story.compared) > SENTENCES:
        return [_tally(story)]
    return [_verdict(name, m["against"], m["difference"]) for name, m in story.compared.items()]


def _verdict(name: str, against: str, row: dict[str, Any]) -> str:
    size = decimal(abs(100 * row["value"]))
    side = "above" if row["value"] >= 0 else "below"
    facts = f"95 % interval {interval(row['low'], row['high'])}; {row['questions']:,} questions"
    if row["mcnemar_p"] is not None:
        p = p_value(row["mcnemar_p"])
        facts += f"; McNemar's p {p if p.startswith('<') else '= ' + p}"
    apart = row["low"] > 0 or row["high"] < 0
    end = "" if apart else " The interval holds 0: these questions do not tell the two apart."
    return f"{name} scores {size} points {side} {against} ({facts}).{end}"


def _tally(story: Story) -> str:
    rows = {name: m["difference"] for name, m in story.compared.items()}
    sides = {
        "above": [story.label(name) for name, row in rows.items() if row["low"] > 0],
        "below": [story.label(name) for name, row in rows.items() if row["high"] < 0],
    }
    apart = sum(map(len, sides.values()))
    named = [f"{side} it: {', '.join(names) or 'none'}" for side, names in sides.items()]
    return (
        f"{len(rows)} differences to the first method; the 95 % intervals of {len(rows) - apart} "
        f"hold 0: there, these questions do not tell the two apart. Wholly {'; '.join(named)}. "
        "Among so many, one in twenty is expected off 0 without any effect."
    )


def _forest(story: Story) -> Markup:
    firsts = ", ".join(dict.fromkeys(m["against"] for m in story.compared.values()))
    note = f"Against {firsts}, over the same questions; paired bootstrap over questions, 95 %."
    rows = {story.label(name): m["difference"] for name, m in story.compared.items()}
    tones = {story.label(name): story.tone(name) for name in story.compared}
    return figure("Difference in score", note, charts.forest(rows, tones))


def budget(story: Story) -> Markup | None:
    """Returns scores against tokens, and at an equal number of tokens."""
    equal = story.summary["equal_tokens"]
    if equal is None:
        return None
    note = (
        f"Within the budget, an answer counts only if it was complete after {equal['budget']} "
        "tokens, the smallest of the methods' means. As run, each method writes what it likes."
    )
    against = "As run. Up is better, left is cheaper; whiskers: 95 % interval of the score."
    curve = "Every answer cut at the budget. At the right end none is: the score as run."
    return section(
        "tokens",
        "Scores and tokens",
        figure("As run and within one budget", note, tables.equal_budget(story), wide=True),
        grid(
            figure("Score against tokens", against, charts.score_against_tokens(story)),
            figure("Score by budget", curve, charts.score_by_budget(story)),
        ),
    )


def tasks(story: Story) -> Markup | None:
    """Returns scores by task and subset."""
    names = list(dict.fromkeys(task for m in story.methods.values() for task in m["tasks"]))
    if not names:
        return None
    note = (
        "Behind each task its number of questions; thin lines: 95 % interval. Dashed: accuracy of "
        "the best constant answer."
    )
    half = -(-len(names) // 2) if len(names) > 3 else len(names)
    bars = [
        figure("Score by task" + (", continued" if at else ""), note, charts.task_bars(story, part))
        for at, part in enumerate((names[:half], names[half:]))
        if part
    ]
    forests = [_task_forest(story, name) for name in list(story.compared)[:FORESTS]]
    return section(
        "tasks",
        "By task",
        tables.key(story),
        grid(bars),
        grid(forests),
        _groups(story, "tasks", "task", "macro_tasks"),
        _groups(story, "levels", "level"),
        _groups(story, "subsets", "subset", "macro_subsets"),
    )


def _task_forest(story: Story, name: str) -> Markup | None:
    m = story.methods[name]
    rows = {task: row for task, row in m["difference_tasks"].items() if row}
    if not rows:
        return None
    note = (
        f"Against {m['against']}. One interval in twenty misses by chance alone: a single task "
        "that stands out is no finding."
    )
    tones = dict.fromkeys(rows, story.tone(name))
    return figure(f"Difference by task: {name}", note, charts.forest(rows, tones))


def _groups(story: Story, key: str, heading: str, macro: str = "") -> Child:
    if not any(m[key] for m in story.methods.values()):
        return None
    note = "Score in percent, ± standard error over questions."
    return figure(
        f"By {heading}, in numbers", note, tables.groups(story, key, heading, macro), wide=True
    )


def failures(story: Story) -> Markup:
    """Returns the counts of questions without an answer."""
    note = (
        "Truncated: cut at the token limit. A question whose video is missing or cannot be decoded "
        "counts as wrong in every score of this page, but for the last column."
    )
    counts = figure("Answers by status", note, tables.statuses(story), wide=True)
    return section("failures", "Failures", counts)
