"""Sections about the course of answers, and single answers."""

import numpy as np

from vreason_jax.evaluation.report import confidence_charts, tables, trace_charts
from vreason_jax.evaluation.report.axes import nice_axis
from vreason_jax.evaluation.report.markup import Child, Markup, decimal, tag
from vreason_jax.evaluation.report.story import Story, figure, grid, section
from vreason_jax.evaluation.statistics.calibration import reliability


def entropy(story: Story) -> Markup | None:
    """Returns the mean curves along the answer, or None without traces."""
    if not story.curves:
        return None
    note = (
        "In all charts along the answer, bands are 95 % of the mean at each token on its own (1.96 "
        "standard errors over answers), and each line ends where fewer than 5 % of the method's "
        "answers go on. As short answers end, a mean can move without any answer doing so."
    )
    return section(
        "entropy",
        "Along the answer",
        tag("p", note),
        tables.key_of_many(story),
        grid(_entropy_figures(story), _controller_figures(story)),
        figure("Where the EMA peaks", "Token 0 is the first.", tables.peaks(story), wide=True),
    )


def _entropy_figures(story: Story) -> list[Child]:
    ema = "What the controller compares with its running peak. Marked: the token where it peaks."
    corrected = (
        "Started from 0, the EMA climbs at first whatever the entropy does; divided by "
        "1 − β^(t+1), it shows where entropy itself peaks."
    )
    mean = trace_charts.mean_curves
    return [
        figure("Entropy", "Mean over answers.", mean(story, "entropy", "entropy, nats")),
        figure("EMA of entropy", ema, mean(story, "ema", "EMA, nats", peaks="raw")),
        figure(
            "EMA, bias-corrected",
            corrected,
            mean(story, "ema_corrected", "EMA / (1 − β^(t+1)), nats", peaks="corrected"),
        ),
    ]


def _controller_figures(story: Story) -> list[Child]:
    unit = nice_axis("mean α: +1 raises entropy, −1 lowers it", [-1, 1], count=4)
    alpha = trace_charts.mean_curves(story, "alpha", unit.label, axis=unit)
    delta = trace_charts.mean_curves(story, "delta_norm", "‖ΔV‖, L2 norm")
    alive = trace_charts.alive_curves(story)
    return [
        figure("α over time", "Plain decoding has no α.", alpha),
        figure("Size of ΔV", "Plain decoding has no ΔV.", delta),
        figure("Answers that go on", "What the other curves stand on at each token.", alive),
    ]


def confidence(story: Story) -> Markup | None:
    """Returns entropy and stated probability against correctness."""
    figures: list[Child] = [_calibration(story, name) for name in story.names]
    if any(c.entropy_right or c.entropy_wrong for c in story.curves.values()):
        note = (
            "Mean over each answer's tokens, then over answers, with a 95 % interval; behind it "
            "the number of answers. Right: a score of at least 0.5."
        )
        chart = confidence_charts.right_and_wrong(story)
        figures.insert(0, figure("Entropy of right and wrong answers", note, chart))
    return section("confidence", "Right, and sure of it?", grid(figures)) if any(figures) else None


def _calibration(story: Story, name: str) -> Markup | None:
    rows = [
        (line.answer_probability, line.score)
        for line in story.run.lines
        if line.method == name and line.answer_probability is not None
    ]
    if not rows:
        return None
    got = reliability(*np.array(rows).T)
    note = (
        f"Expected calibration error {decimal(got.error, 3)} (share) over {len(rows):,} answers, "
        "ten bins. Below the diagonal: surer than right."
    )
    title = f"Calibration: {name}"
    chart = confidence_charts.reliability_diagram(got, story.tone(name), title)
    return figure(title, note, chart)


def answers(story: Story) -> Markup:
    """Returns the place where the page's script puts the table of questions."""
    note = (
        "Two methods, question by question. A question opens with the frames that the model saw, "
        "both texts and traces, and where its lines stand. A method of one seed stands beside "
        "every seed of the other."
    )
    silent = "This table needs JavaScript; the same lines stand in predictions.jsonl."
    table = tag("div", tag("noscript", silent), id="questions")
    return section("answers", "Questions and answers", tag("p", note), table)
