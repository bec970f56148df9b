"""Writes the model's inputs to one .npz file, under transformers' names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.output.files import write_atomic
from vreason_jax.questions import Prepared


def dump_inputs(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays by name to `path`, whatever its suffix, completely or not at all.

    The file is uncompressed, as patches hardly shrink. Raises ValueError for an array of objects,
    which would need pickling.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype == object:
            raise ValueError(f"dump_inputs: {name} is an array of objects")
    # Through an open file: given a name, NumPy would append .npz to it.
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def input_arrays(question: Prepared) -> dict[str, np.ndarray]:
    """Returns the model's inputs, with the names and in the order of transformers."""
    prompt, media = question.prompt, question.media
    arrays: dict[str, Any] = {
        "input_ids": prompt.token_ids[None].astype(np.int32),
        "position_ids": prompt.positions[:, None].astype(np.int32),
        "next_position": np.int32(prompt.next_position),
    }
    kinds = [medium.kind for medium in prompt.media]
    for kind, values, grid in (
        ("video", "pixel_values_videos", "video_grid_thw"),
        ("image", "pixel_values", "image_grid_thw"),
    ):
        chosen = [p for p, k in zip(media.patches, kinds, strict=True) if k == kind]
        if chosen:
            arrays[values] = np.concatenate([p.normalised() for p in chosen])
            arrays[grid] = np.array([p.grid for p in chosen], np.int32)
    videos = [clip for clip, kind in zip(media.clips, kinds, strict=True) if kind == "video"]
    if videos:
        seconds = [m.second_per_grid for m in prompt.media if m.kind == "video"]
        arrays["second_per_grid_ts"] = np.array(seconds, np.float32)
        arrays["frame_indices"] = videos[0].frame_indices
    for number, clip in enumerate(videos):
        arrays["frames" if number == 0 else f"frames_{number}"] = clip.frames
    return arrays
