import numpy as np
import pytest
import scipy.stats

from vreason_jax.evaluation.statistics import intervals
from vreason_jax.evaluation.statistics.clips import mean_over_clips


def scores(size, key, rate=0.5):
    return (np.random.default_rng(key).random(size) < rate).astype(float)


def difference(values, clips=None, **settings):
    clips = np.arange(len(values)) if clips is None else clips
    return intervals.difference_interval(mean_over_clips(np.asarray(values), clips), **settings)


@pytest.mark.parametrize(("right", "size"), [(0, 10), (10, 10), (3, 7), (412, 900)])
def test_wilson_is_scipys(right, size):
    theirs = scipy.stats.binomtest(right, size).proportion_ci(method="wilson")
    assert intervals.wilson(right, size) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    values = np.repeat([1.0, 0.0], [right, size - right])
    mean = mean_over_clips(values, np.arange(size))
    assert intervals.score_interval(mean, plain=True) == pytest.approx((theirs.low, theirs.high))


def test_a_score_of_many_alike_questions_has_the_interval_of_its_clips():
    single = mean_over_clips(scores(60, 1), np.arange(60))
    many = mean_over_clips(np.repeat(scores(60, 1), 18), np.repeat(np.arange(60), 18))
    ends = intervals.score_interval(many, plain=False)
    assert ends == pytest.approx(intervals.score_interval(single, plain=False))
    assert ends == pytest.approx(intervals.score_interval(single, plain=True), abs=0.005)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_equal_scores_of_few_clips_do_not_make_an_interval_of_no_width(value):
    low, high = intervals.score_interval(
        mean_over_clips(np.full(60, value), np.arange(60) // 3), False
    )
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0.1


def test_the_bootstrap_agrees_with_scipys_but_for_the_t_quantile():
    values = scores(400, 1, 0.6) - scores(400, 2)
    ours = difference(values)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", batch=500,
        rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    # 10,000 resamples place each end to about 2 % of the interval's width.
    assert ours == pytest.approx(theirs, abs=0.03 * (theirs.high - theirs.low))


@pytest.mark.parametrize("clips", [6, 14, 60, 2_000])
def test_of_many_distinct_values_the_interval_is_students(clips):
    values = np.random.default_rng(3).normal(0.1, 1.0, clips)
    theirs = scipy.stats.t(clips - 1, values.mean(), scipy.stats.sem(values)).interval(0.95)
    assert difference(values) == pytest.approx(theirs, abs=0.05 * (theirs[1] - theirs[0]))


def test_the_bootstrap_hangs_on_the_key_and_not_on_the_order_of_questions():
    for values in (scores(200, 4) - scores(200, 5), np.random.default_rng(1).normal(size=200)):
        shuffled = np.random.default_rng(0).permutation(values)
        assert difference(values) == pytest.approx(difference(shuffled), abs=1e-9)
        assert not np.array_equal(difference(values), difference(values, key=1))


@pytest.mark.parametrize("size", [1, 5, 120, 1040])
def test_where_no_answer_differs_the_exact_bound_stands(size):
    low, high = difference(np.zeros(size))
    assert (-low, high) == pytest.approx([intervals.exact_bound(size)] * 2)
    assert (1 - high) ** size == pytest.approx(0.025)


def test_the_exact_bound_is_of_clips_and_not_of_copies():
    low, high = difference(np.zeros(1080), np.arange(1080) // 18)
    assert (-low, high) == pytest.approx([intervals.exact_bound(60)] * 2)


def test_few_gains_have_newcombes_interval_by_hand():
    low, high = difference(np.repeat([1.0, -1.0, 0.0], [3, 1, 116]))
    gain, loss = (scipy.stats.binomtest(n, 120).proportion_ci(method="wilson") for n in (3, 1))
    down, up = (3 / 120 - gain.low, loss.high - 1 / 120), (gain.high - 3 / 120, 1 / 120 - loss.low)
    apart = np.sqrt(3 * 1 / (117 * 119))  # minus the correlation of two shares of one whole
    for end, (x, y), sign in ((low, down, -1), (high, up, 1)):
        assert end == pytest.approx(2 / 120 + sign * np.sqrt(x * x + 2 * apart * x * y + y * y))


def test_few_halves_are_as_wide_as_half_as_large_a_difference():
    whole, half = (difference(np.repeat([size, 0.0], [4, 96])) for size in (1.0, 0.5))
    assert half == pytest.approx(whole / 2)


def test_from_few_to_many_differences_the_width_does_not_jump():
    widths = [np.ptp(difference(np.repeat([1.0, -1.0, 0.0], [n, n, 500 - 2 * n]))) for n in (4, 5)]
    assert 0.85 < widths[1] / widths[0] < 1.2  # Newcombe's is a fifth wider than the bootstrap's
