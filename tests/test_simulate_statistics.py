"""Intervals and tests are right as often as they say, in the simulation that the documents show."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import simulate_statistics as simulation

RUNS = 300
ROWS = {name: draw for part in simulation.SCENARIOS.values() for name, draw in part.items()}


# Of 300 runs a share of 95 % is known to ± 2.5 points, two standard errors.
@pytest.mark.parametrize(
    "row",
    [
        "240, 6 % differ",
        "240, 2 seeds against 1",
        "60 x 18, ICC 0.5",
        "20 tasks x 20, no difference",
    ],
)
def test_intervals_cover_and_nothing_is_found_where_nothing_differs(row):
    covered, found, scored, width = simulation.measure(ROWS[row](np.random.default_rng(3), RUNS))
    assert 91 <= covered <= 99 and 91 <= scored <= 99
    assert found <= 9
    assert 0 < width < 20


def test_holm_keeps_a_family_of_methods_at_its_level():
    raw, adjusted = simulation.families(RUNS)
    assert raw > 40 and adjusted <= 8
