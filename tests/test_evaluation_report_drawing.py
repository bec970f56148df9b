"""What pages are drawn with: markup, numbers for people, axes and curves."""

import numpy as np
import pytest

from vreason_jax.evaluation.report import axes, markup, svg
from vreason_jax.evaluation.report.markup import tag


def test_markup_escapes_flattens_and_refuses_what_is_not_finite():
    inner = tag("b", "<&>", class_="x y")
    assert tag("p", [inner, None, "1 < 2"], title='"') == (
        '<p title="&quot;"><b class="x y">&lt;&amp;&gt;</b>1 &lt; 2</p>'
    )
    assert tag("line", x1=1.0, y1=-0.001) == '<line x1="1" y1="0"></line>'
    with pytest.raises(ValueError, match="finite coordinate"):
        tag("line", x1=float("nan"))


def test_numbers_for_people():
    assert markup.decimal(-1.25, 1) == "−1.2"
    assert markup.decimal(-0.001, 1, sign=True) == "0.0"
    assert markup.decimal(None) == markup.decimal(float("nan")) == "–"
    assert markup.interval(-0.01, 0.2) == "−1.0 to 20.0"
    assert [markup.p_value(p) for p in (None, 1e-9, 0.0312, 0.5)] == [
        "–",
        "< 0.001",
        "0.031",
        "0.50",
    ]
    assert markup.shorten("a long model name · vreason", 16) == "a lon… · vreason"
    assert markup.shorten("vreason_lr0.01_interval_4", 22) == "vreason_lr0…interval_4"


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [-1e-12, 1e-12], [0.1, 0.3], [-3, 40], [1e6]])
def test_axes_hold_their_values_at_round_marks(values):
    axis = axes.nice_axis("x", values)
    assert axis.low < axis.high
    assert all(axis.low - 1e-9 <= value <= axis.high + 1e-9 for value in values)
    assert 2 <= len(axis.ticks) <= 9
    assert len({axis.text(tick) for tick in axis.ticks}) == len(axis.ticks)


def test_labels_are_moved_apart_and_kept_inside():
    assert svg.spread([5.0, 6.0, 50.0], 10, 0, 100) == [5.0, 15.0, 50.0]
    assert svg.spread([98.0, 99.0], 10, 0, 100) == [90.0, 100.0]


def test_thinning_takes_block_means():
    np.testing.assert_allclose(svg.thin(np.arange(6.0), 3), [0.5, 2.5, 4.5])
    np.testing.assert_allclose(svg.thin(np.array([1.0, np.nan, np.nan]), 2), [1.0, np.nan])
    assert len(svg.thin(np.zeros(0), 5)) == 0
