import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from vreason_jax.evaluation.statistics.significance import holm, mcnemar, sign_flip


@pytest.mark.parametrize(("a", "b"), [(0, 1), (5, 5), (3, 14), (60, 31), (700, 520), (0, 40)])
def test_mcnemar_is_statsmodels_and_scipys(a, b):
    theirs = their_mcnemar([[10, a], [b, 20]], exact=True).pvalue
    assert mcnemar(a, b) == pytest.approx(theirs, rel=1e-9)
    assert mcnemar(a, b) == pytest.approx(scipy.stats.binomtest(a, a + b).pvalue, rel=1e-9)


def test_mcnemar_takes_no_counts_and_large_ones():
    assert mcnemar(0, 0) == 1.0
    assert 0 < mcnemar(2_000, 2_100) < 1


@pytest.mark.parametrize(("losses", "gains"), [(1, 4), (3, 14), (30, 31), (9, 9)])
def test_sign_flips_of_right_and_wrong_answers_are_mcnemars_mid_p(losses, gains):
    parts = np.repeat([-1.0, 1.0, 0.0], [losses, gains, 50]) / 100
    total = losses + gains
    exact = mcnemar(losses, gains) - (
        scipy.stats.binom.pmf(gains, total, 0.5) if gains != losses else 0
    )
    assert sign_flip(parts) == pytest.approx(exact, abs=0.015)  # 3 errors of 10,000 flips


def test_sign_flips_are_scipys_permutation_test():
    parts = np.random.default_rng(2).normal(0.15, 1, 40)
    theirs = scipy.stats.permutation_test(
        (parts,), np.sum, permutation_type="samples", n_resamples=9_999, vectorized=False,
        rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    assert sign_flip(parts) == pytest.approx(theirs, abs=0.015)


def test_sign_flips_do_not_see_the_order_the_scale_or_what_does_not_differ():
    parts = np.random.default_rng(3).integers(-3, 5, 60) / 10
    p = sign_flip(parts)
    assert 0 < p < 1
    assert sign_flip(parts[::-1]) == sign_flip(-parts) == sign_flip(np.append(parts, [0.0, 0.0]))
    assert sign_flip(parts * 7) == pytest.approx(p, abs=1e-9)


def test_no_difference_has_p_1():
    for parts in (np.zeros(5), np.array([1.0, -1.0]), np.array([0.1, 0.2, -0.3])):
        assert sign_flip(parts) == 1.0


@pytest.mark.parametrize("size", [1, 2, 23])
def test_holm_is_statsmodels(size):
    p = np.random.default_rng(size).random(size) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm(np.array([])).tolist() == []
