"""Figures by hand: macro and micro, VSI-Bench's eight tasks, VideoMMMU's gain."""

import numpy as np
import pytest
from evaluation_samples import make_lines, sample_line

from vreason_jax.evaluation.benchmarks import vsibench
from vreason_jax.evaluation.benchmarks.record import CHOICE, REGRESSION
from vreason_jax.evaluation.results.runs import Run
from vreason_jax.evaluation.statistics.aggregate import macro_tasks
from vreason_jax.evaluation.statistics.summary import scores_before, summarise


def lines_of(benchmark, *rows):
    """Lines of (task, score), or (task, score, kind), each of a question of its own."""
    return make_lines(
        *(
            sample_line(n, score=score, benchmark=benchmark, task=task, kind=(*kind, CHOICE)[0])
            for n, (task, score, *kind) in enumerate(rows)
        )
    )


def figures(lines, before=None):
    return summarise(lines, before=before)["methods"]["baseline"]


def values(table):
    return {name: figure["value"] for name, figure in table["official"].items()}


def vsibench_lines(levels):
    scores = dict.fromkeys(vsibench.NUMERIC, 0.5) | dict.fromkeys(vsibench.LETTERED, 1.0)
    rows = [
        (task, score, REGRESSION if task in vsibench.NUMERIC else CHOICE)
        for task, score in scores.items()
        if task not in vsibench.DIRECTIONS
    ]
    return lines_of("vsibench", *rows, *levels)


def test_vsibench_has_accuracy_mra_their_weighted_mean_and_that_of_its_eight_tasks():
    easy, medium, hard = vsibench.DIRECTIONS
    levels = [(medium, 0.0), (hard, 1.0), *[(easy, 0.0)] * 6]  # levels of any size count alike
    table = figures(vsibench_lines(levels))
    assert table["accuracy"]["value"] == pytest.approx(4 / 11)
    assert table["mra"]["value"] == pytest.approx(0.5)
    assert table["score"]["value"] == pytest.approx((4 + 4 * 0.5) / 15)
    expected = (4 * 0.5 + 3 * 1.0 + (0 + 0 + 1) / 3) / 8
    assert table["macro_tasks"]["value"] == pytest.approx(expected)
    assert values(table) == {"mean of 8 tasks": pytest.approx(expected)}
    assert 0 < table["official"]["mean of 8 tasks"]["low"] < expected
    assert len(table["tasks"]) == 8
    assert table["tasks"][vsibench.DIRECTION]["score"]["questions"] == 8
    assert {name: m["score"]["questions"] for name, m in table["levels"].items()} == {
        medium: 1, hard: 1, easy: 6,
    }  # fmt: skip


def test_a_part_of_vsibench_says_how_much_of_it():
    table = figures(lines_of("vsibench", (vsibench.DIRECTIONS[0], 1.0)))
    assert values(table) == {"mean of 1 of 8 tasks": 1.0}


def test_levels_are_compared_as_the_task_they_make():
    levels = [(name, 1.0) for name in vsibench.DIRECTIONS]
    rows = vsibench_lines(levels)
    names = [(line, method) for line in rows for method in ("a", "b")]
    lines = make_lines(
        *(
            sample_line(n // 2, method, benchmark="vsibench", task=line.task, kind=line.kind)
            for n, (line, method) in enumerate(names)
        )
    )
    differences = summarise(lines)["methods"]["b"]["difference_tasks"]
    assert len(differences) == 8 and differences[vsibench.DIRECTION]["questions"] == 3


def test_other_benchmarks_have_no_levels_and_tasks_of_their_own():
    table = figures(lines_of("mvbench", ("a", 1.0), ("a", 0.0), ("b", 1.0), ("", 0.0)))
    assert values(table) == {"mean of 2 tasks": 0.75}
    assert (table["macro_tasks"]["value"], table["levels"]) == (0.75, {})
    assert set(table["tasks"]) == {"a", "b"}
    mmvu = figures(lines_of("mmvu", ("a", 1.0), ("b", 0.0), ("c", 0.3, REGRESSION)))
    assert values(mmvu) == {"accuracy": 0.5}
    assert macro_tasks([]) is None


def test_the_difference_is_of_the_figure_that_the_authors_report():
    rows = [
        sample_line(n, method, benchmark="mvbench", task=task, score=score, video=f"{n % 9}")
        for method, scores in (("a", (0.0, 1.0)), ("b", (1.0, 1.0)))
        for n in range(30)
        for task, score in [("rare", scores[0]) if n < 6 else ("often", scores[1])]
    ]
    b = summarise(make_lines(*rows))["methods"]["b"]
    row = b["difference_official"]["mean of 2 tasks"]
    assert (row["value"], b["difference"]["value"]) == (0.5, pytest.approx(0.2))
    assert (row["questions"], row["clips"], row["test"]) == (30, 9, "sign flips")
    assert row["low"] < 0.5 < row["high"]


def test_the_error_of_videommmus_gain_is_the_jackknifes():
    rng = np.random.default_rng(1)
    first, after = rng.random(200) < 0.4, rng.random(200) < 0.6
    rows = [
        lines_of("videommmu", *[("Adaptation", float(x)) for x in side]) for side in (first, after)
    ]
    found = figures(rows[1], scores_before(Run(rows[0], {})))["official"]["knowledge gain"]

    def gain(kept):
        return (after[kept].mean() - first[kept].mean()) / (1 - first[kept].mean())

    left_out = np.array([gain(np.arange(200) != n) for n in range(200)])
    error = np.sqrt(199 / 200 * np.sum((left_out - left_out.mean()) ** 2))
    assert found["standard_error"] == pytest.approx(error, rel=0.02)


def test_videommmus_gain_needs_the_scores_before():
    rows = [("Adaptation", float(n < 3)) for n in range(4)]
    lines = lines_of("videommmu", *rows, ("Perception", 0.0))
    assert values(figures(lines)) == {"accuracy": pytest.approx(0.6)}
    first = lines_of("videommmu", *[("Adaptation", float(n < 1)) for n in range(4)])
    gained = figures(lines, scores_before(Run(first, {})))
    gain = gained["official"]["knowledge gain"]
    assert gain["value"] == pytest.approx((0.75 - 0.25) / 0.75)
    assert gain["low"] < gain["value"] < gain["high"]
    full = lines_of("videommmu", *[("Adaptation", 1.0)] * 4)
    assert "knowledge gain" not in figures(lines, scores_before(Run(full, {})))["official"]
    other = {"another method": {lines[0].id: 0.0}}
    assert "knowledge gain" not in figures(lines, other)["official"]
