"""Power and equivalence against statsmodels, and by hand."""

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.weightstats import DescrStatsW

from vreason_jax.evaluation.statistics import power
from vreason_jax.evaluation.statistics.clips import mean_over_clips
from vreason_jax.evaluation.statistics.intervals import exact_bound


def mean_of(values, clips=None):
    values = np.asarray(values, float)
    return mean_over_clips(values, np.arange(len(values)) if clips is None else clips)


def test_the_papers_gain_needs_four_thousand_questions_of_which_a_tenth_differ():
    assert round(power.clips_needed(0.014, 0.10)) == 4002  # Connor 1987, by hand
    assert round(power.clips_needed(0.014, 0.05)) == 2000


@pytest.mark.parametrize("difference", [0.01, 0.014, 0.03])
def test_questions_needed_are_statsmodels(difference):
    square = 0.1
    theirs = NormalIndPower(ddof=0).solve_power(
        difference / square**0.5, alpha=0.05, power=0.8, ratio=0
    )
    # They take one spread with and without a difference, Connor's formula two.
    assert power.clips_needed(difference, square) == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize(("questions", "points"), [(120, 8.0), (240, 5.7), (900, 2.9), (5130, 1.2)])
def test_the_smallest_difference_is_what_so_many_questions_show(questions, points):
    found = power.smallest_difference(questions, 0.1)
    assert found is not None
    assert 100 * found == pytest.approx(points, abs=0.06)
    assert power.clips_needed(found, 0.1) == pytest.approx(questions)


def test_a_difference_needs_at_least_as_many_answers_that_differ():
    found = power.smallest_difference(120, 0.0)  # no answer differed
    assert found is not None and 0.05 < found < 0.08
    assert power.smallest_difference(3, 0.0) is None


def test_copies_of_questions_about_a_clip_tell_no_more():
    values = np.repeat([1.0, -1.0, 0.0], [12, 6, 82])
    single, many = mean_of(values), mean_of(np.repeat(values, 5), np.repeat(np.arange(100), 5))
    assert power.mean_square(single) == pytest.approx(0.18)
    assert power.mean_square(many) == pytest.approx(0.18)
    needed = [power.told(mean)["questions_needed"] or 0 for mean in (single, many)]
    assert needed[1] == pytest.approx(5 * needed[0], rel=1e-3)


def test_no_worse_and_equal_are_the_t_tests_of_statsmodels():
    values = np.random.default_rng(1).normal(0.004, 0.1, 300)
    p, lower, upper = DescrStatsW(values).ttost_mean(-0.01, 0.01)
    assert power.no_worse(mean_of(values), 0.01) == pytest.approx(lower[1])
    assert power.equal(mean_of(values), 0.01) == pytest.approx(max(lower[1], upper[1]))
    assert power.equal(mean_of(values), 0.01) == pytest.approx(p)


def test_no_worse_where_no_answer_differs_is_exact():
    assert power.no_worse(mean_of(np.zeros(500)), 0.01) == pytest.approx(0.99**500, rel=1e-6)
    told = power.told(mean_of(np.zeros(500)))
    assert told["no_worse_by"] == pytest.approx(exact_bound(500, 0.9))
    assert power.no_worse(mean_of(np.zeros(10)), 0.01) == 0.5
    assert power.no_worse(mean_of(np.zeros(10**5)), 0.01) < 1e-6


def test_where_all_clips_differ_alike_there_is_no_doubt():
    assert [power.no_worse(mean_of(np.full(40, value))) for value in (1.0, -1.0)] == [0.0, 1.0]


def test_a_margin_that_is_just_kept_has_p_of_five_percent():
    for values in (
        np.repeat([1.0, -1.0, 0.0], [2, 3, 295]),
        np.random.default_rng(5).normal(size=80),
    ):
        margin = power.told(mean_of(values))["no_worse_by"]
        assert margin is not None and margin > 0
        assert power.no_worse(mean_of(values), margin) == pytest.approx(0.05, abs=0.006)
