"""Where the patches of a frame stand in the vision tower, for one frame size (in NumPy)."""

import functools
from typing import NamedTuple

import numpy as np

from vreason_jax.model.config import VisionConfig

EMPTY = -1  # the window of a slot that holds no patch


class FramePlan(NamedTuple):
    """Where each patch of a frame stands: in one of R rows of W slots, a full window each.

    Smaller windows share rows. Units of `merge` x `merge` patches, which become a token each, stay
    together: U = W / merge^2 units a row.
    """

    unit_of_slot: np.ndarray  # [R * U] int32, in prompt order; 0 in empty slots
    window: np.ndarray  # [R, W] int32, number of the patch's window in its row, or EMPTY
    row: np.ndarray  # [R, W] int32, the patch's place in the frame
    column: np.ndarray  # [R, W] int32
    slot_of_unit: np.ndarray  # [units] int32: undoes the order behind the merger


def rung(rows: int) -> int:
    """Returns the number of rows that a frame of `rows` is given: few numbers, little padding."""
    step = 1 << max(0, (rows - 1).bit_length() - 3)
    return -(-rows // step) * step


@functools.lru_cache(maxsize=256)  # of the frame sizes met last; callers only read its arrays
def frame_plan(height: int, width: int, config: VisionConfig) -> FramePlan:
    """Returns the plan of a frame of `height` x `width` patches (both multiples of the merge size).

    Units come in HF's order, raster over the frame, and inside a unit patches (0,0), (0,1), (1,0),
    (1,1). Time never mixes in the tower, so one plan serves every temporal patch.
    """
    merge, room = config.geometry.merge, config.row_units
    units = np.arange(height * width // merge**2).reshape(height // merge, width // merge)
    rows = _packed(config.windows(units), room)
    count = rung(len(rows))
    unit_of_slot = np.full((count, room), EMPTY)
    window = np.full((count, room), EMPTY)
    for number, members in enumerate(rows):
        joined = np.concatenate(members)
        unit_of_slot[number, : len(joined)] = joined
        window[number, : len(joined)] = np.repeat(np.arange(len(members)), list(map(len, members)))
    order = np.argsort(np.where(unit_of_slot < 0, units.size, unit_of_slot).reshape(-1))
    unit_of_slot = np.maximum(unit_of_slot, 0)
    place = np.indices((merge, merge)).reshape(2, 1, 1, -1)  # of a patch in its unit
    corner = np.stack(np.divmod(unit_of_slot, units.shape[1]))[..., None] * merge
    row, column = (corner + place).reshape(2, count, -1).astype(np.int32)
    return FramePlan(
        unit_of_slot.reshape(-1).astype(np.int32),
        np.repeat(window, merge**2, axis=1).astype(np.int32),
        row,
        column,
        order[: units.size].astype(np.int32),
    )


def _packed(windows: list[np.ndarray], room: int) -> list[list[np.ndarray]]:
    """Puts windows into rows of `room` units: the largest first, each where it first fits."""
    rows: list[list[np.ndarray]] = []
    left: list[int] = []
    for window in sorted(windows, key=len, reverse=True):
        fitting = next((n for n, free in enumerate(left) if free >= len(window)), None)
        if fitting is None:
            rows.append([])
            left.append(room)
            fitting = len(rows) - 1
        rows[fitting].append(window)
        left[fitting] -= len(window)
    return rows
