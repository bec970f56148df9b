"""Windows laid out in rows: every patch once, no window cut, little left empty."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patches_of_14 import GEOMETRY
from small_model import small_config

from vreason_jax.families.qwen25_vl.config import WindowedVision
from vreason_jax.model import rope
from vreason_jax.model.config import VisionConfig
from vreason_jax.model.windows import EMPTY, frame_plan, rung

SIZES = st.integers(1, 40).map(lambda units: 2 * units)
CONFIGS = st.sampled_from(
    [
        small_config().vision,
        WindowedVision(2, 64, 128, 4, 128, GEOMETRY, 56, ()),
        VisionConfig(2, 64, 128, 4, 128, GEOMETRY),
    ]
)


def window_of(row, column, width, config):
    """The window of a patch, or which row's worth of the frame's tokens it is in."""
    merge = config.geometry.merge
    if not isinstance(config, WindowedVision):
        return (row // merge * (width // merge) + column // merge) // config.row_units
    side = config.window_units * merge
    return row // side, column // side


@given(SIZES, SIZES, CONFIGS)
def test_every_patch_stands_in_one_slot_with_its_window_and_no_other(height, width, config):
    plan = frame_plan(height, width, config)
    slots = plan.window.shape[1]
    real = plan.window != EMPTY
    places = list(zip(plan.row[real], plan.column[real], strict=True))
    assert sorted(places) == [(r, c) for r in range(height) for c in range(width)]
    groups = {}
    for at in np.argwhere(real):
        name = (at[0], plan.window[tuple(at)])
        place = window_of(plan.row[tuple(at)], plan.column[tuple(at)], width, config)
        groups.setdefault(name, set()).add(place)
    assert all(len(windows) == 1 for windows in groups.values()), "two windows in one group"
    assert len({w for windows in groups.values() for w in windows}) == len(groups), "a cut window"
    assert slots == config.row_units * config.geometry.merge**2


@given(SIZES, SIZES, CONFIGS)
def test_units_stay_together_and_come_out_in_prompt_order(height, width, config):
    plan = frame_plan(height, width, config)
    merge = config.geometry.merge
    row, column = (a.reshape(-1, merge**2)[plan.slot_of_unit] for a in (plan.row, plan.column))
    np.testing.assert_array_equal(row // merge, np.repeat(row[:, :1] // merge, merge**2, 1))
    tokens = row[:, 0] // merge * (width // merge) + column[:, 0] // merge
    np.testing.assert_array_equal(tokens, np.arange(height * width // merge**2))
    np.testing.assert_array_equal(plan.unit_of_slot[plan.slot_of_unit], tokens)
    assert (np.abs(np.diff(row, axis=1)) + np.abs(np.diff(column, axis=1)) > 0).all()


@given(st.integers(1, 5000))
def test_rungs_are_few_and_waste_at_most_a_quarter(rows):
    assert rows <= rung(rows) <= 1.25 * rows + 0.001 or rows < 8
    assert rung(rung(rows)) == rung(rows) and rung(rows + 1) >= rung(rows)
    assert rung(rows) == rows or rows > 8


def test_the_default_sizes_of_frames_need_few_rungs_and_little_padding():
    config, rungs, shares = small_config().vision, set(), []
    for height in range(8, 90, 2):
        for width in range(8, 90, 2):
            if 512 <= height * width <= 1024:  # 100,352 to 200,704 pixels
                plan = frame_plan(height, width, config)
                rungs.add(len(plan.window))
                shares.append(1 - height * width / plan.window.size)
    assert len(rungs) <= 8
    assert np.mean(shares) < 0.12


@pytest.mark.parametrize("head_width", [8, 80])
def test_angles_turn_half_of_a_head_by_the_row_and_half_by_the_column(head_width):
    rows, columns = np.array([[0, 3], [7, 1]]), np.array([[5, 0], [2, 9]])
    angles = np.asarray(jax.jit(rope.vision_angles, static_argnums=2)(rows, columns, head_width))
    frequencies = rope.inverse_frequencies(head_width // 2, 10_000.0)
    half = np.concatenate([rows[..., None] * frequencies, columns[..., None] * frequencies], -1)
    np.testing.assert_allclose(angles, np.concatenate([half, half], -1), rtol=1e-6)
