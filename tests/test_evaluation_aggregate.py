"""Figures by hand: macro and micro, VSI-Bench's eight tasks, VideoMMMU's gain, rates."""

import pytest

from vreason_jax.evaluation.aggregate import Outcome, aggregate, outcome
from vreason_jax.evaluation.readers import vsibench
from vreason_jax.evaluation.record import CHOICE, REGRESSION, Record
from vreason_jax.evaluation.scoring import Scored


def row(name, value, task="t", kind=CHOICE, status="ok", subset="", relaxed=None):
    return Outcome(name, task, subset, kind, value, value if relaxed is None else relaxed, status)


def test_micro_macro_and_groups():
    rows = [
        row("1", 1.0, "big", subset="x"), row("2", 0.0, "big"), row("3", 0.0, "big", relaxed=1.0),
        row("4", 1.0, "small", subset="x"), row("5", 0.4, "numbers", REGRESSION),
    ]  # fmt: skip
    table = aggregate(rows, "mmvu")
    assert table["count"] == 5
    assert table["micro"] == pytest.approx(2.4 / 5)
    assert table["micro_lenient"] == pytest.approx(3.4 / 5)
    assert table["macro"] == pytest.approx((1 / 3 + 1 + 0.4) / 3)
    assert (table["accuracy"], table["mra"]) == (pytest.approx(0.5), pytest.approx(0.4))
    assert table["tasks"]["big"] == {
        "count": 3,
        "score": pytest.approx(1 / 3),
        "score_lenient": pytest.approx(2 / 3),
    }
    assert table["subsets"]["x"]["count"] == 2 and "" not in table["subsets"]


def test_vsibench_averages_the_three_directions_before_the_eight_tasks():
    scores = dict.fromkeys(vsibench.NUMERIC, 0.5) | dict.fromkeys(vsibench.LETTERED, 1.0)
    scores |= dict(zip(vsibench.DIRECTIONS, (0.0, 0.0, 1.0), strict=True))
    rows = [
        row(name, value, name, REGRESSION if name in vsibench.NUMERIC else CHOICE)
        for name, value in scores.items()
    ]
    rows += [row(f"more{n}", 0.0, vsibench.DIRECTIONS[0]) for n in range(5)]  # a level of any size
    table = aggregate(rows, "vsibench")
    expected = (4 * 0.5 + 3 * 1.0 + (0 + 0 + 1) / 3) / 8
    assert table["official"] == {"mean of tasks": pytest.approx(expected)}
    assert table["macro"] == pytest.approx(expected)
    assert len(table["tasks"]) == 8 and table["tasks"][vsibench.DIRECTION]["count"] == 8
    assert list(table["levels"]) == list(vsibench.DIRECTIONS)
    assert table["notices"] == []
    assert "covers 1 of 8" in aggregate(rows[:1], "vsibench")["notices"][0]


def test_videommmus_gain_needs_the_scores_before():
    rows = [row(f"Adaptation/{n}", float(n < 3), "Adaptation") for n in range(4)]
    rows.append(row("Perception/0", 0.0, "Perception"))
    bare = aggregate(rows, "videommmu")
    assert bare["official"] == {"accuracy": pytest.approx(0.6), "knowledge gain": None}
    assert "it needs scores without the lecture" in bare["notices"][0]
    before = {f"Adaptation/{n}": float(n < 1) for n in range(4)}
    gained = aggregate(rows, "videommmu", before)
    assert gained["official"]["knowledge gain"] == pytest.approx((0.75 - 0.25) / 0.75)
    full = dict.fromkeys(before, 1.0)
    assert aggregate(rows, "videommmu", full)["official"]["knowledge gain"] is None


def test_bad_videos_count_as_wrong_and_are_left_out_beside_it():
    rows = [row("1", 1.0), row("2", 0.0, status="missing_video"), row("3", 0.0, status="truncated")]
    rows.append(row("4", 0.0, status="no_answer"))
    table = aggregate(rows, "mmvu")
    assert table["micro"] == 0.25
    assert table["without_bad_videos"]["micro"] == pytest.approx(1 / 3)
    assert table["rates"] == {
        "ok": 0.25, "truncated": 0.25, "no_answer": 0.25, "missing_video": 0.25,
        "undecodable_video": 0.0,
    }  # fmt: skip
    record = Record("1", "mmvu", "v", "?", (), "B", CHOICE, "t")
    assert outcome(record, Scored("B", 1.0, 1.0, True), "missing_video").score == 0.0
    assert outcome(record, Scored("B", 1.0, 1.0, True)).score == 1.0


def test_no_rows_have_no_means():
    table = aggregate([], "mmvu")
    assert (table["count"], table["micro"], table["macro"], table["mra"]) == (0, None, None, None)
