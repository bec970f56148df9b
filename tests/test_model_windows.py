"""Window plans: HF's order and lengths, and every patch in exactly one place."""

import numpy as np
import pytest
from small_model import small_config

from vreason_jax.model.windows import window_plan

VISION = small_config().vision
GRIDS = [(10, 14), (8, 16), (36, 64), (2, 2), (4, 6), (18, 2), (12, 20)]


def units_in_order(plan):
    """The unit ids window after window, empty slots left out: HF's window_index of one frame."""
    return (plan.patch_of_slot[plan.occupied.reshape(-1)][::4] // 4).tolist()


def lengths(plan):
    return plan.occupied.sum(axis=1).tolist()


def hf_window_index(height, width):
    """Order and window lengths by walking the windows in raster order."""
    rows, columns = height // 2, width // 2
    order, sizes = [], []
    for top in range(0, rows, 4):
        for left in range(0, columns, 4):
            units = [
                r * columns + c
                for r in range(top, min(top + 4, rows))
                for c in range(left, min(left + 4, columns))
            ]
            order += units
            sizes.append(4 * len(units))
    return order, sizes


def test_a_frame_of_ten_by_fourteen_patches_by_hand():
    plan = window_plan(10, 14, VISION)
    assert lengths(plan) == [64, 48, 16, 12]
    order = units_in_order(plan)
    assert order[:20] == [0, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 17, 21, 22, 23, 24, 4, 5, 6, 11]
    assert order[28:] == [28, 29, 30, 31, 32, 33, 34]


def test_frames_that_fill_their_windows_have_no_empty_one():
    assert lengths(window_plan(8, 16, VISION)) == [64, 64]
    sizes = lengths(window_plan(36, 64, VISION))
    assert len(sizes) == 40 and set(sizes) == {64, 32}


@pytest.mark.parametrize("grid", GRIDS)
def test_order_and_lengths_are_hfs(grid):
    plan = window_plan(*grid, VISION)
    assert (units_in_order(plan), lengths(plan)) == hf_window_index(*grid)


@pytest.mark.parametrize("grid", GRIDS)
def test_every_patch_stands_in_exactly_one_slot_and_units_stay_whole(grid):
    plan = window_plan(*grid, VISION)
    taken = plan.patch_of_slot[plan.occupied.reshape(-1)]
    assert sorted(taken.tolist()) == list(range(grid[0] * grid[1]))
    assert plan.occupied.any(axis=1).all(), "a window without patches would attend to nothing"
    assert (plan.patch_of_slot[~plan.occupied.reshape(-1)] == 0).all()
    units = plan.patch_of_slot.reshape(-1, 4)[plan.slot_of_unit]
    np.testing.assert_array_equal(units, np.arange(grid[0] * grid[1]).reshape(-1, 4))
    assert plan.occupied.reshape(-1, 4)[plan.slot_of_unit].all()


def test_each_slot_turns_by_the_row_and_column_of_its_patch():
    plan = window_plan(4, 6, VISION)
    # Units 0 1 2 / 3 4 5 of two by two patches; frequency 0 is 1, so the angle is the position.
    quarter = VISION.head_width // 4
    rows, columns = plan.angles[:, 0], plan.angles[:, quarter]
    occupied = plan.occupied.reshape(-1)
    turns = zip(plan.patch_of_slot, rows, columns, occupied, strict=True)
    place = {int(patch): (row, column) for patch, row, column, real in turns if real}
    assert [place[p] for p in range(8)] == [
        (0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3),
    ]  # fmt: skip
    assert [place[p] for p in (12, 23)] == [(2, 0), (3, 5)]
