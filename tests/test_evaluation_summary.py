import json

import numpy as np
import pytest
import scipy.stats
from evaluation_samples import (
    make_lines,
    random_rows,
    sample_line,
    sample_run_facts,
    write_run,
)
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from vreason_jax.evaluation.benchmarks.record import CHOICE
from vreason_jax.evaluation.report.differences import pairs
from vreason_jax.evaluation.statistics.budgets import budget_curve, within
from vreason_jax.evaluation.statistics.intervals import exact_bound
from vreason_jax.evaluation.statistics.scores import describe
from vreason_jax.evaluation.statistics.summary import summarise, write_summary


def test_scores_tokens_and_seconds_of_a_method_by_hand():
    summary = summarise(
        make_lines(
            sample_line(0, score=1.0, tokens=10, seconds={"video": 1.0, "decode": 2.0}),
            sample_line(1, score=0.0, score_lenient=1.0, tokens=20, seconds={"decode": 4.0}),
        )
    )
    method = summary["methods"]["baseline"]
    assert method["accuracy"]["value"] == method["score"]["value"] == 0.5
    assert method["accuracy"]["standard_error"] == pytest.approx(0.5)
    assert method["lenient"]["accuracy"]["value"] == 1.0
    assert method["mra"] is None
    assert method["tokens"] == 15
    assert method["seconds"] == {"video": 0.5, "decode": 3.0, "total": 3.5}
    assert "difference" not in method
    assert (summary["questions"], summary["models"]) == (2, ["tiny"])


def test_regression_rows_count_as_mra_and_not_as_accuracy():
    rows = [sample_line(0, score=1.0), sample_line(1, score=0.4, kind="regression")]
    method = summarise(make_lines(*rows))["methods"]["baseline"]
    assert (method["accuracy"]["value"], method["mra"]["value"]) == (1.0, 0.4)
    assert method["score"]["value"] == pytest.approx(0.7)


def test_tasks_micro_and_macro():
    rows = [sample_line(n, task="a", score=1.0) for n in range(3)]
    rows += [sample_line(9, task="b", score=0.0, subset="")]
    method = summarise(make_lines(*rows))["methods"]["baseline"]
    assert method["score"]["value"] == 0.75
    assert method["macro_tasks"]["value"] == 0.5
    assert {name: task["score"]["value"] for name, task in method["tasks"].items()} == {
        "a": 1.0,
        "b": 0.0,
    }
    assert set(method["subsets"]) == {"easy", "hard"}


def test_every_task_has_the_accuracy_of_its_best_constant_answer():
    golds = {"a": "BBAB", "b": "12", "graded": "3"}
    rows = [
        sample_line(n, method, seed, task=task, gold=gold, kind=kind, id=f"{task}{n}")
        for task, kind in (("a", "multiple choice"), ("b", "numerical"), ("graded", "regression"))
        for n, gold in enumerate(golds[task])
        for method in ("baseline", "vreason")
        for seed in (0, 1)
    ]
    for method in summarise(make_lines(*rows))["methods"].values():
        tasks = {name: task["constant"] for name, task in method["tasks"].items()}
        assert tasks == {"a": 0.75, "b": 0.5, "graded": None}


def test_what_a_method_changes_is_a_mean_over_what_was_compared():
    rows = [sample_line(n, entropy=e, tokens=t) for n, e, t in ((0, 1.0, 30), (1, 2.0, 10))]
    rows += [
        sample_line(0, "vreason", changed=True, delta_logit=0.5, kl=0.25),
        sample_line(1, "vreason", changed=False, delta_logit=0.25, kl=0.0),
        sample_line(2, "vreason"),
    ]
    baseline, vreason = summarise(make_lines(*rows))["methods"].values()
    assert [baseline[key] for key in ("entropy", "changed", "delta_logit", "kl")] == [
        1.25, None, None, None,
    ]  # fmt: skip
    assert [vreason[key] for key in ("entropy", "changed", "delta_logit", "kl")] == [
        None, 0.5, 0.375, 0.125,
    ]  # fmt: skip


def test_bad_videos_are_wrong_and_also_left_out():
    rows = [sample_line(n, tokens=10) for n in range(3)]
    rows.append(sample_line(3, score=0.0, tokens=0, seconds={}, status="missing_video"))
    method = summarise(make_lines(*rows))["methods"]["baseline"]
    assert method["accuracy"]["value"] == 0.75
    assert method["without_bad_videos"]["accuracy"]["value"] == 1.0
    assert method["statuses"]["missing_video"] == 1
    assert method["tokens"] == 10
    assert method["seconds"]["decode"] == 1.0


def test_rates_of_no_answer_and_truncation():
    statuses = ("ok", "ok", "truncated", "no_answer")
    rows = [sample_line(n, status=status) for n, status in enumerate(statuses)]
    method = summarise(make_lines(*rows))["methods"]["baseline"]
    assert (method["no_answer_rate"], method["truncated_rate"]) == (0.25, 0.25)


def test_differences_agree_with_scipy_and_statsmodels():
    rows = random_rows(300, ("baseline", "vreason"), key=3)
    got = summarise(make_lines(*rows))["methods"]["vreason"]
    first, other = (
        np.array([row["score"] for row in rows if row["method"] == name])
        for name in ("baseline", "vreason")
    )
    difference = got["difference"]
    assert got["against"] == "baseline"
    assert difference["value"] == pytest.approx(np.mean(other - first))
    theirs = scipy.stats.bootstrap(
        (first, other), lambda a, b, axis: np.mean(b - a, axis=axis), paired=True,
        n_resamples=10_000, method="percentile", vectorized=True, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert (difference["low"], difference["high"]) == pytest.approx(theirs, abs=0.01)
    assert difference["test"] == "McNemar"
    table = [[np.sum((first == a) & (other == b)) for b in (1, 0)] for a in (1, 0)]
    assert difference["p"] == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_two_identical_methods_do_not_differ():
    rows = random_rows(50, ("a",))
    summary = summarise(make_lines(*rows, *({**row, "method": "b"} for row in rows)))
    difference = summary["methods"]["b"]["difference"]
    assert -difference["low"] == difference["high"] == pytest.approx(exact_bound(50))
    assert (difference["value"], difference["p"]) == (0.0, 1.0)


def test_p_and_difference_are_of_one_hypothesis_with_several_seeds():
    rows = [sample_line(n, "greedy", score=float(n % 5 != 0)) for n in range(300)]
    right = np.random.default_rng(1).permutation(np.repeat([1.0, 0.0], [480, 120]))
    rows += [sample_line(n % 300, "sampled", n // 300, right[n]) for n in range(600)]
    row = summarise(make_lines(*rows))["methods"]["sampled"]["difference"]
    assert row["value"] == pytest.approx(0, abs=1e-12)
    assert (row["p"], row["test"]) == (1.0, "sign flips")
    assert row["low"] < 0 < row["high"]


def test_copies_of_a_question_about_its_clip_do_not_narrow_the_interval():
    first, other = (np.random.default_rng(key).random(60) < 0.6 for key in (1, 2))
    rows = []
    for copies in (1, 18):
        lines = [
            sample_line(n * 100 + copy, method, score=float(scores[n]), video=f"{n}")
            for n in range(60)
            for copy in range(copies)
            for method, scores in (("a", first), ("b", other))
        ]
        rows.append(summarise(make_lines(*lines))["methods"]["b"]["difference"])
    assert [row["clips"] for row in rows] == [60, 60]
    assert [row["test"] for row in rows] == ["McNemar", "sign flips"]
    for key in ("low", "high", "smallest_difference"):
        assert rows[1][key] == pytest.approx(rows[0][key], abs=0.002)


def test_questions_without_a_clip_are_clips_of_their_own():
    rows = [sample_line(n, video=video) for n, video in enumerate(("", "", "a", "a", "q00000"))]
    summary = summarise(make_lines(*rows))
    assert (summary["questions"], summary["clips"]) == (5, 4)
    assert summary["methods"]["baseline"]["score"]["clips"] == 4


def test_a_mixed_benchmark_has_one_test_for_the_rows_of_its_interval():
    rows = [
        sample_line(n, method, score=score, kind="regression" if n % 2 else CHOICE)
        for n in range(60)
        for method, score in (("a", 0.3 if n % 2 else 1.0), ("b", 0.5 if n % 2 else 1.0))
    ]
    m = summarise(make_lines(*rows))["methods"]["b"]
    assert (m["difference"]["test"], m["difference_accuracy"]["test"]) == ("sign flips", "McNemar")
    assert m["difference"]["p"] < 0.001 < m["difference_accuracy"]["p"]


def test_holms_p_counts_the_methods_of_a_figure_and_the_tasks_of_all():
    rows = random_rows(120, ("a", "b", "c", "d"), key=5)
    compared = list(summarise(make_lines(*rows))["methods"].values())[1:]
    raw = [m["difference"]["p"] for m in compared]
    adjusted = [m["difference"]["p_holm"] for m in compared]
    assert adjusted == pytest.approx(multipletests(raw, method="holm")[1])
    assert {m["difference"]["family"] for m in compared} == {3}
    assert {row["family"] for m in compared for row in m["difference_tasks"].values()} == {12}


def test_seeds_are_told_one_by_one():
    rows = [
        sample_line(n, seed=seed, score=float(n < 3 + seed)) for n in range(5) for seed in (0, 1)
    ]
    score = summarise(make_lines(*rows))["methods"]["baseline"]["score"]
    assert score["seed_means"] == pytest.approx([0.6, 0.8])
    assert score["seed_std"] == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert score["value"] == pytest.approx(0.7)


def test_only_questions_that_both_answered_are_compared():
    rows = [sample_line(n, score=0.0) for n in range(4)]
    rows += [sample_line(n, "vreason", score=1.0) for n in (2, 3, 4)]
    difference = summarise(make_lines(*rows))["methods"]["vreason"]["difference"]
    assert (difference["questions"], difference["value"]) == (2, 1.0)
    rows = [sample_line(0), sample_line(1, "vreason")]
    assert summarise(make_lines(*rows))["methods"]["vreason"]["difference"] is None


def test_methods_come_in_the_order_asked_for():
    lines = make_lines(*(sample_line(0, name) for name in ("lite", "vreason", "baseline")))
    assert list(summarise(lines)["methods"]) == ["lite", "vreason", "baseline"]
    summary = summarise(lines, {"methods": {"baseline": {}, "frozen": {}, "vreason": {}}})
    assert list(summary["methods"]) == ["baseline", "vreason", "lite"]
    assert summary["methods"]["lite"]["against"] == "baseline"


def test_budgets_are_quantiles_of_all_lengths_and_cut_every_answer():
    rows = [sample_line(n, tokens=10 + 20 * n) for n in range(4)]
    rows += [sample_line(n, "short", tokens=10) for n in range(4)]
    equal = summarise(make_lines(*rows))["equal_tokens"]
    assert [at["tokens"] for at in equal["budgets"]] == [10, 10, 35, 56]
    scores = [
        [at["methods"][name]["score"]["value"] for name in ("baseline", "short")]
        for at in equal["budgets"]
    ]
    assert scores == [[0.25, 1.0], [0.25, 1.0], [0.5, 1.0], [0.75, 1.0]]
    assert equal["budgets"][0]["methods"]["short"]["difference"]["value"] == 0.75
    assert equal["curve"]["budgets"][-1] == 70
    assert equal["curve"]["score"]["baseline"][-1] == 1.0
    assert equal["curve"]["score"]["baseline"][0] == 0.0


def test_methods_of_like_lengths_have_no_budget():
    rows = [sample_line(n, tokens=100 + n % 5) for n in range(40)]
    rows += [sample_line(n, "b", tokens=105 + n % 5) for n in range(40)]
    assert summarise(make_lines(*rows))["equal_tokens"] is None


def test_budget_curve_is_the_score_at_each_budget():
    lines = make_lines(*random_rows(40, ("a",), seeds=(0, 1)))[:-1]  # one question has one seed
    budgets = np.array([0, 120, 150, 200, 250, 300])
    expected = [describe(lines, within(budget))["value"] for budget in budgets]
    np.testing.assert_allclose(budget_curve(lines, budgets), expected)


def test_a_run_without_any_answer_has_no_budget():
    lines = make_lines(sample_line(tokens=0, score=0.0, status="missing_video", seconds={}))
    summary = summarise(lines)
    assert summary["equal_tokens"] is None
    assert summary["methods"]["baseline"]["tokens"] is None


def test_summary_is_recomputed_from_the_lines(tmp_path):
    folder = write_run(tmp_path / "run", random_rows(20), sample_run_facts())
    (folder / "summary.json").write_text("{}")
    summary = write_summary(folder)
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert summary["methods"]["lite"]["difference"]["questions"] == 20


def test_the_mean_of_unequal_tasks_has_the_interval_of_its_own_error():
    rows = [sample_line(n, task="a", score=n % 2) for n in range(10)]
    rows += [sample_line(n, task="b", score=n % 2) for n in range(10, 500)]
    mean = summarise(make_lines(*rows))["methods"]["baseline"]["macro_tasks"]
    assert (mean["high"] - mean["low"]) / 2 > 1.9 * mean["standard_error"] > 0.15


def test_a_seed_that_a_method_lacks_is_not_another_seed_of_it():
    rows = [sample_line(0, "a", seed) for seed in (0, 1)] + [sample_line(1, "a", 0)]
    rows += [sample_line(n, "b", seed) for n in (0, 1) for seed in (0, 1)]
    outcomes = [pair.outcome for pair in pairs(make_lines(*rows), "a", "b")]
    assert sorted(outcomes) == ["one method only"] + 3 * ["same answer"]
    greedy = [*rows, sample_line(0, "c"), sample_line(1, "c")]  # beside every seed of the other
    assert len(pairs(make_lines(*greedy), "c", "b")) == 4


def test_the_authors_figure_is_compared_over_the_tasks_that_both_answered(tmp_path):
    rows = [
        sample_line(n, method, benchmark="mvbench", task=f"task {n}")
        for method, count in (("baseline", 3), ("vreason", 8))
        for n in range(count)
    ]
    found = summarise(make_lines(*rows))["methods"]["vreason"]["difference_official"]
    assert list(found) == ["mean of 3 tasks"]
