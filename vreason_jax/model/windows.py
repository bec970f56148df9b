"""Which patches the windowed vision blocks attend over, for one frame size (host side, NumPy)."""

import functools

import numpy as np
from flax import struct

from vreason_jax.model import rope
from vreason_jax.model.config import VisionConfig


class WindowPlan(struct.PyTreeNode):
    """Where each patch of a frame stands when the frame is cut into windows of equal size.

    Windows at the right and bottom edge are padded to full size, so that a windowed block is one
    dense batched product. Slots: W = windows x window size, in patches.
    """

    patch_of_slot: np.ndarray  # [W] int32, 0 in empty slots
    occupied: np.ndarray  # [windows, window size] bool
    slot_of_unit: np.ndarray  # [units] int32, in units: undoes the order before the merger
    angles: np.ndarray  # [W, H] float32, rotary angles of each slot


@functools.lru_cache(maxsize=64)  # of the frame sizes met last; callers only read its arrays
def window_plan(height: int, width: int, config: VisionConfig) -> WindowPlan:
    """Returns the plan of a frame of `height` x `width` patches (both multiples of the merge size).

    Patches come in HF's order: raster over merged units, and inside a unit (0,0), (0,1), (1,0),
    (1,1). Time never mixes in the tower, so one plan serves every temporal patch. Source: HF
    modeling_qwen2_5_vl.py, get_window_index and rot_pos_emb.
    """
    merge, side = config.merge, config.window_units
    rows, columns = height // merge, width // merge
    padded_rows, padded_columns = -(-rows // side) * side, -(-columns // side) * side
    units = np.full((padded_rows, padded_columns), -1)
    units[:rows, :columns] = np.arange(rows * columns).reshape(rows, columns)
    windows = units.reshape(padded_rows // side, side, padded_columns // side, side)
    windows = windows.transpose(0, 2, 1, 3).reshape(-1, side * side)

    per_unit = merge * merge
    patches = np.where(windows[..., None] >= 0, windows[..., None] * per_unit, 0)
    patches = patches + np.where(windows[..., None] >= 0, np.arange(per_unit), 0)
    patch_of_slot = patches.reshape(-1).astype(np.int32)
    occupied = np.repeat(windows >= 0, per_unit, axis=1)
    slot_of_unit = np.argsort(np.where(windows >= 0, windows, rows * columns).reshape(-1))
    patch_rows, patch_columns = _patch_coordinates(rows, columns, merge)
    angles = rope.vision_angles(patch_rows, patch_columns, config.head_width)[patch_of_slot]
    return WindowPlan(
        patch_of_slot, occupied, slot_of_unit[: rows * columns].astype(np.int32), angles
    )


def _patch_coordinates(rows: int, columns: int, merge: int) -> tuple[np.ndarray, np.ndarray]:
    grid = np.indices((rows * merge, columns * merge)).reshape(2, rows, merge, columns, merge)
    row, column = grid.transpose(0, 1, 3, 2, 4).reshape(2, -1)
    return row, column
