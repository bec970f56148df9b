"""Time stamps become the times at which frames are shown, whatever the clock did on the way."""

import numpy as np
import pytest

from vreason_jax.video.timeline import ASSUMED_FPS, Timeline

GAP = 0.04


def times(*stamps, clock_breaks=False):
    timeline = Timeline.of_stamps(stamps, GAP, 25.0, clock_breaks)
    assert timeline.end == pytest.approx(float(timeline.times[-1]) + GAP)
    return timeline.times.tolist()


STEADY = pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


def test_a_missing_stamp_is_one_interval_after_the_one_before():
    assert times(0.0, None, 0.08, 0.12, None) == STEADY


def test_a_stamp_that_comes_twice_counts_as_missing():
    assert times(0.0, 0.04, 0.08, 0.12, 0.12) == STEADY


def test_swapped_stamps_are_put_in_order():
    assert times(0.0, 0.08, 0.04, 0.12, 0.16) == STEADY


@pytest.mark.parametrize(
    ("stamps", "breaks"),
    [((9.0, 9.04, 0.0, 0.04, 0.08), False), ((0.0, 0.04, 0.08, 3600.0, 3600.04), True)],
)
def test_time_goes_on_where_the_clock_starts_anew(stamps, breaks):
    assert np.subtract(times(*stamps, clock_breaks=breaks), stamps[0]).tolist() == STEADY


def test_a_pause_is_kept():
    assert times(0.0, 0.04, 60.0) == [0.0, 0.04, 60.0]
    assert times(0.0, 0.04, 9.0, clock_breaks=True) == [0.0, 0.04, 9.0]


def test_without_stamps_the_stated_rate_or_the_assumed_one_counts():
    assert Timeline.of_stamps([None] * 3, 0.0, 10.0).times.tolist() == pytest.approx([0, 0.1, 0.2])
    assert Timeline.of_stamps([None] * 3, 0.0, None).end == pytest.approx(3 / ASSUMED_FPS)
