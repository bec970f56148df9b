import numpy as np
import pytest

from vreason_jax.evaluation.statistics.calibration import reliability


def test_reliability_and_calibration_error_by_hand():
    got = reliability(np.array([0.05, 0.95, 1.0, 0.9]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert got.count.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert got.accuracy[9] == pytest.approx(2 / 3)
    assert got.probability[9] == pytest.approx(0.95)
    assert np.isnan(got.accuracy[4])
    assert got.error == pytest.approx(0.25 * 0.05 + 0.75 * (0.95 - 2 / 3))


def test_reliability_of_nothing_has_no_error():
    assert np.isnan(reliability(np.array([]), np.array([])).error)
