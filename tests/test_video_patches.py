"""Patches: order, normalisation and grid, bit for bit those of transformers."""

from pathlib import Path

import numpy as np
from patches_of_14 import GEOMETRY

from vreason_jax.video.patches import (
    Normalization,
    patchify,
    second_per_grid,
)
from vreason_jax.video.reader import Clip


def test_values_and_grid_equal_those_of_transformers_bit_for_bit():
    golden = np.load(Path(__file__).parent / "goldens" / "video_patches.npz")
    assert len(golden["frames"]) == 3  # odd: the last frame stands twice
    patches = patchify(golden["frames"], GEOMETRY)
    assert patches.grid == tuple(golden["grid"])
    assert patches.values.dtype == np.uint8
    np.testing.assert_array_equal(patches.normalised(), golden["values"])


def test_rows_run_over_blocks_and_inside_a_block_row_by_row():
    frames = np.zeros((2, 56, 84, 3), np.uint8)
    row, column = np.mgrid[:56, :84] // 14
    frames[...] = (row * 10 + column)[..., None]
    patches = patchify(frames, GEOMETRY)
    assert patches.grid == (1, 4, 6)
    first_of_row = patches.values[:, 0].tolist()
    assert first_of_row[:12] == [0, 1, 10, 11, 2, 3, 12, 13, 4, 5, 14, 15]
    assert first_of_row[12:16] == [20, 21, 30, 31]


def test_a_row_holds_channel_then_frame_then_pixels():
    frames = np.zeros((2, 28, 28, 3), np.uint8)
    frames[...] = np.array([1, 2, 3]) + 10 * np.arange(2)[:, None, None, None]
    frames[1, 3, 5, 2] = 200
    row = patchify(frames, GEOMETRY).values[0].reshape(3, 2, 14, 14)
    assert row[:, :, 0, 0].tolist() == [[1, 11], [2, 12], [3, 13]]
    assert row[2, 1, 3, 5] == 200


def test_one_image_becomes_a_pair_of_itself():
    image = np.random.default_rng(0).integers(0, 256, (1, 28, 56, 3), np.uint8)
    alone, twice = patchify(image, GEOMETRY), patchify(np.concatenate([image, image]), GEOMETRY)
    assert alone.grid == (1, 2, 4)
    np.testing.assert_array_equal(alone.values, twice.values)


def test_a_temporal_patch_spans_two_frames():
    clip = Clip(
        np.zeros((4, 28, 28, 3), np.uint8), 4.0, np.arange(4), np.arange(4) / 4, None, "array"
    )
    assert second_per_grid(clip, GEOMETRY) == 0.5


def test_each_channel_is_normalised_by_its_own_numbers():
    frames = np.full((2, 28, 28, 3), 255, np.uint8)
    grey = Normalization((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    values = patchify(frames, GEOMETRY, grey).normalised()
    by_channel = values[0].reshape(3, -1)[:, 0]
    np.testing.assert_allclose(by_channel, [5.0, 2.5, 5 / 3], rtol=1e-6)
