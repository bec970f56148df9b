"""What went into the model, as one .npz under transformers' names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vreason_jax.output.files import write_atomic

Grid = tuple[int, int, int]


def dump_inputs(
    path: str | Path,
    *,
    token_ids: np.ndarray,
    positions: np.ndarray,
    next_position: int,
    video_values: Sequence[np.ndarray] = (),
    video_grids: Sequence[Grid] = (),
    seconds_per_grid: Sequence[float] = (),
    image_values: Sequence[np.ndarray] = (),
    image_grids: Sequence[Grid] = (),
    frames: Sequence[np.ndarray] = (),
    frame_indices: Sequence[np.ndarray] = (),
) -> None:
    """Writes the inputs of one prompt, whole or not at all.

    `token_ids` [S], `positions` [3, S]; per video and per image in prompt order: its patches
    float32 [P, 1176] and its grid (t, h, w) in patches; per video also the seconds between
    temporal patches, its frames uint8 [F, h, w, 3] after resizing and their indices [F].
    Keys of media that the prompt does not have are left out.
    """
    arrays: dict[str, np.ndarray] = {
        "input_ids": np.asarray(token_ids, np.int32)[None],
        "position_ids": np.asarray(positions, np.int32)[:, None],
        "next_position": np.asarray(next_position, np.int32),
    }
    if video_values:
        arrays["pixel_values_videos"] = np.concatenate(video_values).astype(np.float32)
        arrays["video_grid_thw"] = np.asarray(video_grids, np.int32)
        arrays["second_per_grid_ts"] = np.asarray(seconds_per_grid, np.float32)
    if image_values:
        arrays["pixel_values"] = np.concatenate(image_values).astype(np.float32)
        arrays["image_grid_thw"] = np.asarray(image_grids, np.int32)
    for number, (pixels, indices) in enumerate(zip(frames, frame_indices, strict=True)):
        suffix = f"_{number}" if number else ""
        arrays[f"frames{suffix}"] = np.asarray(pixels, np.uint8)
        arrays[f"frame_indices{suffix}"] = np.asarray(indices, np.int32)
    # Through an open file: given a name, NumPy would append .npz to it.
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
