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
    percent,
    tag,
)
from vreason_jax.evaluation.report.story import Story, figure, grid, section
from vreason_jax.evaluation.results.lines import CHANGES
from vreason_jax.evaluation.statistics.intervals import exact_bound

FORESTS = 8  # methods that are shown by task
SENTENCES = 4  # comparisons that are told one by one
_RAGGED = (
    "The methods have answered different questions: their scores are of different samples. "
    "Differences are over the questions that both answered."
)


def results(story: Story) -> Markup:
    """Returns the results in words, as intervals, and as a table."""
    note = (
        "± is the standard error over clips: a clip's questions are alike and count together; "
        "several seeds of a question are averaged first. Holm's p holds for all differences of "
        "the column at once. "
        "Lenient: the answer is also found where the tags are missing or wordy. Seconds are an "
        "answer's share: what several answers used together is divided among them. Not in the form "
        "asked: such as without tags; a bare letter may score all the same."
    )
    found = [tag("p", keep_units(line)) for line in verdicts(story)]
    forest = _forest(story) if found else None
    return section(
        "results",
        "Results",
        grid(tag("div", found, class_="verdicts"), forest) if found else None,
        tag("p", _RAGGED, class_="warning") if _ragged(story) else None,
        figure("Main results", note, tables.results(story), wide=True),
        _power(story) if found else None,
        _changes(story),
    )


def _ragged(story: Story) -> bool:
    """Whether methods have answered different questions."""
    asked: dict[str, set[str]] = {}
    for line in story.run.lines:
        asked.setdefault(line.method, set()).add(line.id)
    return any(ids != next(iter(asked.values())) for ids in asked.values())


def _power(story: Story) -> Markup | None:
    facts = story.summary["power"]
    gain, margin = (f"{100 * facts[key]:g}" for key in ("difference", "margin"))
    note = (
        "Smallest difference: what these questions show at p < 0.05 in four runs of five, from "
        "how often answers differed here. Questions needed: to show the paper's gain of "
        f"{gain} points so. No worse by: the margin that a one-sided test at 5 % leaves; behind "
        f"it p of being worse, and p of being another, by {margin} point or more (TOST)."
    )
    return figure("What the questions could tell", note, tables.power(story), wide=True)


def _changes(story: Story) -> Markup | None:
    if not any(m[key] is not None for m in story.methods.values() for key in CHANGES):
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
    return [_verdict(story, name) for name in story.compared]


def _verdict(story: Story, name: str) -> str:
    figure, row = story.headline(name)
    against = story.methods[name]["against"]
    assert row is not None
    sample = f"{row['questions']:,} questions on {row['clips']:,} clips"
    if not row["only_first_right"] + row["only_other_right"]:
        bound = percent(exact_bound(row["clips"]))
        return (
            f"No score differs between {name} and {against} ({sample}): of clips like these, at "
            f"most {bound} % do (exact 95 % bound). These questions do not tell the two apart."
        )
    size = decimal(abs(100 * row["value"]))
    side = "above" if row["value"] >= 0 else "below"
    facts = f"95 % interval {interval(row['low'], row['high'])}; {sample}; {_tested(row)}"
    end = "" if _apart(row) else " The interval holds 0: these questions do not tell the two apart."
    return f"{name} scores {size} points {side} {against} in {figure} ({facts}).{end}"


def _tested(row: dict[str, Any]) -> str:
    """Returns the p of a difference in words, with Holm's where several are tested."""
    words = f"p {_relation(row['p'])} by {row['test']}"
    if row["family"] == 1:
        return words
    return f"{words}, {_relation(row['p_holm'])} by Holm for {row['family']} differences"


def _relation(p: float) -> str:
    words = p_value(p)
    return words if words.startswith("<") else f"= {words}"


def _apart(row: dict[str, Any]) -> bool:
    return row["low"] > 0 or row["high"] < 0


def _tally(story: Story) -> str:
    rows = {name: row for name in story.compared if (row := story.difference(name))}
    sides = {
        "above": [story.label(name) for name, row in rows.items() if row["low"] > 0],
        "below": [story.label(name) for name, row in rows.items() if row["high"] < 0],
    }
    apart = sum(map(len, sides.values()))
    held = [story.label(name) for name, row in rows.items() if row["p_holm"] < 0.05]
    named = [f"{side} it: {', '.join(names) or 'none'}" for side, names in sides.items()]
    return (
        f"{len(rows)} differences to the first method in {story.figure}; the 95 % intervals of "
        f"{len(rows) - apart} hold 0: there, these questions do not tell the two apart. Wholly "
        f"{'; '.join(named)}. Among so many, some stand off 0 by chance; with p adjusted by Holm "
        f"for all of them, below 0.05: {', '.join(held) or 'none'}."
    )


def _forest(story: Story) -> Markup | None:
    firsts = ", ".join(dict.fromkeys(m["against"] for m in story.compared.values()))
    note = f"Against {firsts}, over the same questions; bootstrap over clips, 95 %."
    rows = {name: row for name in story.compared if (row := story.difference(name))}
    tones = {name: story.tone(name) for name in rows}
    return figure(f"Difference in {story.figure}", note, charts.forest(rows, tones, story.label))


def budget(story: Story) -> Markup | None:
    """Returns scores against tokens and, where lengths differ, within several budgets."""
    if any(m["tokens"] is None for m in story.methods.values()):
        return None
    against = "As run. Up is better, left is cheaper; whiskers: 95 % interval of the score."
    chart = figure("Score against tokens", against, charts.score_against_tokens(story))
    if story.summary["equal_tokens"] is None:
        alike = "The methods' mean lengths differ by less than 10 %: no budget would favour one."
        key = tables.key_of_many(story)
        return section("tokens", "Scores and tokens", tag("p", alike), key, grid(chart))
    note = (
        "Within a budget, an answer counts only if it was complete after so many tokens; the "
        "budgets are the lengths that a quarter, half, three quarters and nine tenths of all "
        "answers keep to. As run, each method writes what it likes."
    )
    curve = "Every answer cut at the budget. At the right end none is: the score as run."
    return section(
        "tokens",
        "Scores and tokens",
        figure("As run and within budgets", note, tables.equal_budget(story), wide=True),
        tables.key_of_many(story),
        grid(chart, figure("Score by budget", curve, charts.score_by_budget(story))),
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
        f"that stands out is no finding. {_tasks_held(rows)}"
    )
    tones = dict.fromkeys(rows, story.tone(name))
    return figure(f"Difference by task: {name}", note, charts.forest(rows, tones))


def _tasks_held(rows: dict[str, Any]) -> str:
    held = [task for task, row in rows.items() if row["p_holm"] < 0.05]
    size = next(iter(rows.values()))["family"]
    return (
        f"With p adjusted by Holm for {size} differences, below 0.05: {', '.join(held) or 'none'}."
    )


def _groups(story: Story, key: str, heading: str, macro: str = "") -> Child:
    if not any(m[key] for m in story.methods.values()):
        return None
    note = "Score in percent, ± standard error over clips."
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
