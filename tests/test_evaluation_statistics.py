import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar

from vreason_jax.evaluation.statistics import intervals as statistics


def scores(size, key, rate=0.5):
    return (np.random.default_rng(key).random(size) < rate).astype(float)


def test_estimate_of_right_and_wrong_answers():
    got = statistics.estimate(np.array([[1.0], [1.0], [0.0], [1.0]]))
    assert got.value == 0.75
    assert got.standard_error == pytest.approx(scipy.stats.sem([1, 1, 0, 1]))
    interval = scipy.stats.binomtest(3, 4).proportion_ci(method="wilson")
    assert (got.low, got.high) == pytest.approx((interval.low, interval.high))
    assert (got.questions, got.seeds) == (4, 1)
    assert np.isnan(got.seed_std)


def test_seeds_are_averaged_within_a_question_first():
    table = np.array([[1.0, 1.0, 0.0], [0.0, np.nan, np.nan]])
    got = statistics.estimate(table)
    assert got.value == pytest.approx((2 / 3 + 0) / 2)  # not 2 of 4 answers
    assert got.standard_error == pytest.approx(scipy.stats.sem([2 / 3, 0]))
    assert got.seed_std == pytest.approx(np.std([0.5, 1.0, 0.0], ddof=1))


def test_interval_of_fractions_is_normal_and_stays_within_its_range():
    got = statistics.estimate(np.array([[0.9], [1.0], [0.95]]))
    reach = 1.959964 * scipy.stats.sem([0.9, 1.0, 0.95])
    assert got.low == pytest.approx(0.95 - reach, rel=1e-6)
    assert got.high == 1.0


def test_one_question_has_no_standard_error():
    assert np.isnan(statistics.estimate(np.array([[1.0]])).standard_error)


@pytest.mark.parametrize(("right", "size"), [(0, 10), (10, 10), (3, 7), (412, 900)])
def test_wilson_is_scipys(right, size):
    theirs = scipy.stats.binomtest(right, size).proportion_ci(method="wilson")
    assert statistics.wilson(right, size) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_bootstrap_agrees_with_scipy():
    differences = scores(400, 1, 0.6) - scores(400, 2)
    ours = statistics.paired_bootstrap(differences)
    theirs = scipy.stats.bootstrap(
        (differences,), np.mean, n_resamples=10_000, method="percentile", batch=500,
        rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    # 10,000 resamples place each end to about 2 % of the interval's width.
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)


def test_bootstrap_of_many_distinct_values_agrees_with_the_normal_interval():
    differences = np.random.default_rng(3).normal(0.1, 1.0, 2_000)
    low, high = statistics.paired_bootstrap(differences)
    reach = 1.96 * scipy.stats.sem(differences)
    mean = differences.mean()
    assert (low, high) == pytest.approx((mean - reach, mean + reach), abs=0.1 * reach)


def test_bootstrap_depends_on_key_and_not_on_the_order_of_questions():
    differences = scores(200, 4) - scores(200, 5)
    shuffled = np.random.default_rng(0).permutation(differences)
    assert statistics.paired_bootstrap(differences) == statistics.paired_bootstrap(shuffled)
    assert statistics.paired_bootstrap(differences) != statistics.paired_bootstrap(
        differences, key=1
    )


def test_identical_methods_do_not_differ():
    first = scores(100, 6)
    low, high = statistics.paired_bootstrap(first - first)
    assert low <= 0 <= high
    assert statistics.discordant(first, first) == (0, 0)
    assert statistics.mcnemar(0, 0) == 1.0


@pytest.mark.parametrize(("a", "b"), [(0, 1), (5, 5), (3, 14), (60, 31), (700, 520), (0, 40)])
def test_mcnemar_is_statsmodels_and_scipys(a, b):
    theirs = their_mcnemar([[10, a], [b, 20]], exact=True).pvalue
    assert statistics.mcnemar(a, b) == pytest.approx(theirs, rel=1e-9)
    assert statistics.mcnemar(a, b) == pytest.approx(
        scipy.stats.binomtest(a, a + b).pvalue, rel=1e-9
    )


def test_mcnemar_takes_counts_past_the_largest_float():
    assert 0 < statistics.mcnemar(2_000, 2_100) < 1


def test_several_seeds_count_by_majority():
    first, other = np.array([1 / 3, 2 / 3, 0.5, 1.0]), np.array([2 / 3, 1 / 3, 1.0, 1.0])
    assert statistics.discordant(first, other) == (1, 2)


def test_reliability_and_calibration_error_by_hand():
    got = statistics.reliability(np.array([0.05, 0.95, 1.0, 0.9]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert got.count.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert got.accuracy[9] == pytest.approx(2 / 3)
    assert got.probability[9] == pytest.approx(0.95)
    assert np.isnan(got.accuracy[4])
    assert got.error == pytest.approx(0.25 * 0.05 + 0.75 * (0.95 - 2 / 3))


def test_reliability_of_nothing_has_no_error():
    assert np.isnan(statistics.reliability(np.array([]), np.array([])).error)


def test_curve_of_answers_of_different_lengths():
    total = statistics.CurveSum(4)
    rows = [[1.0, 2.0, 3.0, 4.0, 99.0], [3.0, np.nan], [2.0, 4.0, 5.0]]
    for row in rows:
        total.add(np.array(row))
    curve = total.curve()
    assert curve.count.tolist() == [3, 2, 2, 1]
    np.testing.assert_allclose(curve.mean, [2.0, 3.0, 4.0, 4.0])
    expected = [scipy.stats.sem(column) for column in ([1, 3, 2], [2, 4], [3, 5])]
    np.testing.assert_allclose(curve.error, [*expected, np.nan])


def test_curve_of_nothing_is_empty():
    assert len(statistics.CurveSum(4).curve().mean) == 0
