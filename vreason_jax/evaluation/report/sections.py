"""The parts of the page, each from a story; a part without anything to say is None."""

import numpy as np

from vreason_jax.evaluation.report import charts, configs, cost, examples, tables, trace_charts
from vreason_jax.evaluation.report.markup import Markup, decimal, interval, p_value, tag
from vreason_jax.evaluation.report.story import Story, figure, grid, section
from vreason_jax.evaluation.report.svg import nice_axis
from vreason_jax.evaluation.statistics import reliability

FORESTS = 8  # by task


def results(story: Story) -> Markup:
    """Returns what was found: in words, as a table, and as intervals."""
    note = (
        "± is the standard error over questions; several seeds of a question are averaged first. "
        "Lenient: the answer is also found where the tags are missing or wordy. Seconds are an "
        "answer's share: what several answers used together is divided among them."
    )
    parts = [tag("ul", [tag("li", line) for line in verdicts(story)], class_="verdicts")]
    parts.append(figure("Main results", note, tables.results(story), wide=True))
    if story.compared:
        rows = {name: m["difference"] for name, m in story.compared.items()}
        parts.append(grid(_forest(story, rows), _against_tokens(story)))
    else:
        parts.append(grid(_against_tokens(story)))
    return section("results", "Results", *parts)


def verdicts(story: Story) -> list[str]:
    """Returns one sentence for each comparison, which claims no more than the interval allows."""
    sentences = []
    for name, m in story.compared.items():
        row = m["difference"]
        size = decimal(abs(100 * row["value"]))
        side = "above" if row["value"] >= 0 else "below"
        facts = f"95 % interval {interval(row['low'], row['high'])}; {row['questions']:,} questions"
        if row["mcnemar_p"] is not None:
            facts += f"; McNemar p {p_value(row['mcnemar_p'])}"
        apart = row["low"] > 0 or row["high"] < 0
        end = "" if apart else " The interval holds 0: these questions do not tell the two apart."
        sentences.append(f"{name} scores {size} points {side} {m['against']} ({facts}).{end}")
    return sentences


def _forest(story: Story, rows: dict) -> Markup:
    firsts = ", ".join(dict.fromkeys(m["against"] for m in story.compared.values()))
    note = f"Against {firsts}, over the same questions; paired bootstrap over questions, 95 %."
    tones = {name: story.tone(name) for name in rows}
    unit = "difference, percentage points; right of 0 is better"
    return figure("Difference in score", note, charts.forest(rows, tones, unit))


def _against_tokens(story: Story) -> Markup | None:
    if all(m["tokens"] is None for m in story.methods.values()):
        return None
    note = "Up is better, left is cheaper. Whiskers: 95 % interval of the score."
    return figure("Score against tokens", note, charts.score_against_tokens(story))


def budget(story: Story) -> Markup | None:
    """Returns the scores at an equal number of tokens."""
    equal = story.summary["equal_tokens"]
    if equal is None:
        return None
    note = (
        f"Within the budget, an answer counts only if it was complete after {equal['budget']} "
        "tokens, the smallest of the methods' means. As run, each method writes what it likes."
    )
    curve = "The same for every budget. At the right end no answer is cut: the score as run."
    return section(
        "tokens",
        "At equal length",
        figure("As run and within one budget", note, tables.equal_budget(story), wide=True),
        grid(figure("Score by budget", curve, charts.score_by_budget(story))),
    )


def tasks(story: Story) -> Markup | None:
    """Returns scores by task and subset."""
    names = list(dict.fromkeys(task for m in story.methods.values() for task in m["tasks"]))
    if not names:
        return None
    note = "Number of questions behind the name; lines: 95 % interval."
    half = -(-len(names) // 2) if len(names) > 4 else len(names)
    halves = [names[:half], names[half:]]
    bars = [figure("Score by task", note, charts.task_bars(story, part)) for part in halves if part]
    forests = [_task_forest(story, name) for name in list(story.compared)[:FORESTS]]
    content = [grid(bars), grid(forests)]
    for key, heading, macro in (
        ("tasks", "task", "macro_tasks"),
        ("subsets", "subset", "macro_subsets"),
    ):
        if any(m[key] for m in story.methods.values()):
            words = "Score in %, ± standard error over questions."
            one = tables.groups(story, key, heading, macro)
            content.append(figure(f"By {heading}", words, one, wide=True))
    return section("tasks", "By task", *content)


def _task_forest(story: Story, name: str) -> Markup | None:
    m = story.methods[name]
    rows = {task: row for task, row in m["difference_tasks"].items() if row}
    if not rows:
        return None
    note = (
        f"{name} against {m['against']}. One interval in twenty misses its value by chance alone: "
        "a single task that stands out is no finding."
    )
    tones = dict.fromkeys(rows, story.tone(name))
    unit = "difference, percentage points; right of 0 is better"
    return figure(f"Difference by task: {name}", note, charts.forest(rows, tones, unit))


def entropy(story: Story) -> Markup | None:
    """Returns the mean curves along the answer; None without traces."""
    if not story.curves:
        return None
    unit = nice_axis("mean α: +1 raises entropy, −1 lowers it", [-1, 1], count=4)
    curves = (
        ("Entropy", "Mean over the answers that go on.", trace_charts.mean_curves(story, "entropy", "entropy, nats")),
        (
            "EMA of entropy", "What the controller compares with its running peak. Marked: the token of the highest mean.",
            trace_charts.mean_curves(story, "ema", "EMA, nats", peaks="raw"),
        ),
        (
            "EMA, bias-corrected", "EMA divided by 1 − β^(t+1). Started from 0, the EMA climbs at first whatever the "
            "entropy does; only this curve shows where entropy itself peaks.",
            trace_charts.mean_curves(story, "ema_corrected", "EMA / (1 − β^(t+1)), nats", peaks="corrected"),
        ),
        ("α over time", "Plain decoding has no α.", trace_charts.mean_curves(story, "alpha", unit.label, axis=unit)),
        ("Size of ΔV", "Plain decoding has no ΔV.", trace_charts.mean_curves(story, "delta_norm", "‖ΔV‖, L2 norm")),
        ("Answers that go on", "The curves beside stand on these; each ends where fewer than 5 % do.", trace_charts.alive_curves(story)),
    )  # fmt: skip
    note = (
        "Bands in all charts along the answer: 95 % of the mean at each token on its own (1.96 "
        "standard errors over answers). The answers that still go on are others at each token."
    )
    return section(
        "entropy",
        "Along the answer",
        tag("p", note),
        grid([figure(title, words, chart) for title, words, chart in curves if chart]),
        figure("Where the EMA peaks", "Token 0 is the first.", tables.peaks(story), wide=True),
    )


def confidence(story: Story) -> Markup | None:
    """Returns how entropy and stated probability go with being right."""
    figures = []
    if any(len(c.entropy_right) or len(c.entropy_wrong) for c in story.curves.values()):
        note = "Mean over each answer's tokens, then over answers, with a 95 % interval. Right: a score of at least 0.5."
        figures.append(
            figure("Entropy of right and wrong answers", note, charts.right_and_wrong(story))
        )
    for name in story.names:
        rows = [
            (line.answer_probability, line.score)
            for line in story.run.lines
            if line.method == name and line.answer_probability is not None
        ]
        if rows:
            got = reliability(*np.array(rows).T)
            note = (
                f"Expected calibration error {decimal(got.error, 3)} over {len(rows):,} answers, "
                "ten bins. Below the diagonal: surer than right."
            )
            title = f"Calibration: {name}"
            figures.append(
                figure(title, note, charts.reliability_diagram(got, story.tone(name), title))
            )
    return section("confidence", "Right, and sure of it?", grid(figures)) if figures else None


def costs(story: Story) -> Markup:
    """Returns seconds by stage, what was shared, and the controller's share."""
    note = "Shared stages (video, vision, prefill) divided among the answers that used them."
    parts = [grid(figure("Seconds per answer", note, charts.stage_bars(story)))]
    if story.run.facts.get("sessions"):
        words = (
            "One row for each time the command ran; shared stages in full, decode over all methods."
        )
        parts.append(figure("Seconds of the runs", words, cost.sessions(story), wide=True))
        words = "A clip is seen once and read once, each question once; methods and seeds fork from there."
        shared = figure("What was shared", words, cost.sharing(story))
        words = (
            "Decode minus plain decoding timed at the same shape: an estimate, not a measurement."
        )
        share = cost.controller(story)
        parts.append(
            grid(shared, figure("The controller's share", words, share) if share else None)
        )
    return section("cost", "Cost", *parts)


def failures(story: Story) -> Markup:
    """Returns the counts of what did not come to an answer."""
    note = (
        "Truncated: cut at the token limit. A question whose video is missing or cannot be decoded "
        "counts as wrong in every score of this page, but for the last column."
    )
    return section(
        "failures", "Failures", figure("Answers by status", note, tables.statuses(story), wide=True)
    )


def answers(story: Story) -> Markup:
    """Returns single answers, folded."""
    picked = examples.pick(story.run.lines)
    parted = sum(len({line.score for line in one}) > 1 for one in picked)
    note = (
        f"{len(picked)} of {story.summary['questions']:,} questions, {parted} of them with methods that disagree; "
        "picked evenly over the run by that rule alone."
    )
    return section(
        "answers", "Single answers", tag("p", note), trace_charts.legend(),
        [examples.show(story, one) for one in picked],
    )  # fmt: skip


def setup(story: Story) -> Markup | None:
    """Returns configurations and versions; None where the run left none."""
    if not story.run.facts:
        return None
    differing = configs.differing(story)
    return section(
        "configs",
        "Configurations",
        figure(
            "Where the methods differ",
            "Keys as in configs/; all else is alike.",
            differing,
            wide=True,
        )
        if differing
        else None,
        configs.whole(story),
        configs.versions(story),
    )
