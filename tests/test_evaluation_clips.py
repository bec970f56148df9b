"""Means over clips: errors are those of clusters within strata."""

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from vreason_jax.evaluation.statistics.clips import mean_over_clips


def drawn(size, key=0):
    return np.random.default_rng(key).random(size)


def test_one_question_a_clip_has_the_standard_error_of_independent_values():
    values = drawn(50)
    mean = mean_over_clips(values, np.arange(50))
    assert mean.value == pytest.approx(values.mean())
    assert mean.error == pytest.approx(scipy.stats.sem(values))
    assert mean.freedom == pytest.approx(49)


def test_clips_of_equal_size_have_the_cluster_robust_error_of_statsmodels():
    values, clips = drawn(90), np.repeat(np.arange(30), 3)
    fit = sm.OLS(values, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": clips})
    # Theirs also has (n - 1) / (n - 1) of one regressor: the same for a mean.
    assert mean_over_clips(values, clips).error == pytest.approx(fit.bse[0])


def test_copies_of_every_question_leave_error_and_freedom_as_they_were():
    values, clips = drawn(40), np.arange(40)
    single = mean_over_clips(values, clips)
    copied = mean_over_clips(np.repeat(values, 18), np.repeat(clips, 18))
    for key in ("value", "error", "freedom", "changed", "clips"):
        assert getattr(copied, key) == pytest.approx(getattr(single, key))


def test_a_mean_of_tasks_has_the_error_of_a_stratified_sample():
    groups = np.repeat([0, 1, 2], [10, 40, 25])
    values = drawn(75) + groups
    weights = 1 / (3 * np.bincount(groups)[groups])
    mean = mean_over_clips(values, np.arange(75), groups, weights)
    parts = [values[groups == g] for g in range(3)]
    assert mean.value == pytest.approx(np.mean([part.mean() for part in parts]))
    errors = np.array([scipy.stats.sem(part) / 3 for part in parts])
    assert mean.error == pytest.approx(np.sqrt(np.sum(errors**2)))
    assert mean.freedom == pytest.approx(
        np.sum(errors**2) ** 2 / np.sum(errors**4 / np.array([9, 39, 24]))
    )


def test_a_clip_that_several_tasks_ask_about_counts_once():
    clips, groups = np.tile(np.arange(30), 2), np.repeat([0, 1], 30)
    values = np.tile(drawn(30), 2)
    both = mean_over_clips(values, clips, groups, np.full(60, 1 / 60))
    assert both.error == pytest.approx(scipy.stats.sem(values[:30]))  # not a root of 2 smaller
    assert both.freedom == pytest.approx(29)


def test_clips_of_unequal_size_count_as_fewer():
    clips = np.repeat(np.arange(20), np.arange(1, 21))
    assert mean_over_clips(drawn(210), clips).freedom < 15


def test_a_single_clip_has_no_error_and_a_lonely_one_of_a_task_has():
    assert np.isnan(mean_over_clips(np.array([1.0, 0.0]), np.array([0, 0])).error)
    lonely = mean_over_clips(
        np.array([1.0, 0.0, 1.0]), np.arange(3), np.array([0, 1, 1]), np.array([0.5, 0.25, 0.25])
    )
    assert 0 < lonely.error < 1


def test_changed_counts_clips_of_equal_parts_and_less_of_unequal_ones():
    def changed(*values):
        return mean_over_clips(np.array(values, float), np.arange(len(values))).changed

    assert changed(0, 0, 0) == 0
    assert changed(1, -1, 0, 1) == pytest.approx(3)
    assert changed(1, 0.1, 0.1, 0.1) == pytest.approx(1.3**2 / 1.03)
