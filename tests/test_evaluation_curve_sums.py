import numpy as np
import scipy.stats

from vreason_jax.evaluation.statistics.curve_sums import CurveSum


def test_curve_of_answers_of_different_lengths():
    total = CurveSum(4)
    rows = [[1.0, 2.0, 3.0, 4.0, 99.0], [3.0, np.nan], [2.0, 4.0, 5.0]]
    for row in rows:
        total.add(np.array(row))
    curve = total.curve()
    assert curve.count.tolist() == [3, 2, 2, 1]
    np.testing.assert_allclose(curve.mean, [2.0, 3.0, 4.0, 4.0])
    expected = [scipy.stats.sem(column) for column in ([1, 3, 2], [2, 4], [3, 5])]
    np.testing.assert_allclose(curve.error, [*expected, np.nan])


def test_curve_of_nothing_is_empty():
    assert len(CurveSum(4).curve().mean) == 0
