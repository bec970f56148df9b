"""Limits, sides and resampling, against values of qwen-vl-utils."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from patches_of_14 import sized
from PIL import Image

from vreason_jax.errors import UserError
from vreason_jax.video.pixels import to_rgb
from vreason_jax.video.resize import (
    PixelLimits,
    resize_frames,
    resize_image,
    smart_resize,
)

GOLDENS = Path(__file__).parent / "goldens"
WIDE = PixelLimits(1, 10**9)
CASES = ["smooth_down", "smooth_up", "noisy_down", "noisy_up", "noisy_mixed"]


def off_by(frames, expected):
    """Returns the largest difference in levels and the share of values that differ."""
    difference = np.abs(frames.astype(int) - expected)
    return difference.max(), np.mean(difference > 0)


@pytest.mark.parametrize("name", CASES)
def test_frames_are_those_of_the_float_resize_within_a_level_in_a_thousandth(name):
    golden = np.load(GOLDENS / "video_resize.npz")
    expected = golden[f"{name}_out"]
    resized = resize_frames(golden[f"{name}_in"], *expected.shape[1:3])
    assert resized.dtype == np.uint8
    levels, share = off_by(resized, expected)
    assert levels <= 1
    assert share <= 1e-3


def test_the_bar_tells_pil_on_eight_bits_apart():
    golden = np.load(GOLDENS / "video_resize.npz")
    expected = golden["noisy_up_out"][0]
    eight_bit = Image.fromarray(golden["noisy_up_in"][0])
    eight_bit = eight_bit.resize(expected.shape[1::-1], Image.Resampling.BICUBIC)
    levels, share = off_by(np.asarray(eight_bit), expected)
    assert levels > 1
    assert share > 1e-3


def test_the_same_size_is_left_untouched():
    frames = np.random.default_rng(0).integers(0, 256, (2, 28, 56, 3), np.uint8)
    assert resize_frames(frames, 28, 56) is frames


def test_sides_equal_those_of_qwen_vl_utils():
    sizes = json.loads((GOLDENS / "video_sampling.json").read_text())["sizes"]
    assert len(sizes) > 30
    for height, width, low, high, *expected in sizes:
        assert list(smart_resize(height, width, PixelLimits(low, high), 28)) == expected


SIDE = st.integers(1, 8000)
PIXELS = st.integers(1, 4_000_000)


@given(SIDE, SIDE, PIXELS, PIXELS)
def test_sides_are_multiples_within_the_limits_however_the_frame_lies(height, width, low, high):
    assume(max(height, width) <= 200 * min(height, width) and low <= high)
    limits = PixelLimits(low, high)
    sides = smart_resize(height, width, limits, 28)
    assert all(side >= 28 and side % 28 == 0 for side in sides)
    assert smart_resize(width, height, limits, 28) == sides[::-1]
    area = sides[0] * sides[1]
    # A side stops at 28. Beyond that an area is outside of a limit only where the limits are so
    # close that one multiple less, or more, would be outside of the other.
    assert area <= high or 28 in sides or (sides[0] - 28) * (sides[1] - 28) < low
    assert area >= low or (sides[0] + 28) * (sides[1] + 28) > high
    if low <= area <= high:
        assert smart_resize(*sides, limits, 28) == sides


@given(SIDE, SIDE)
def test_a_frame_within_wide_limits_moves_each_side_by_half_a_multiple_at_most(height, width):
    assume(max(height, width) <= 200 * min(height, width))
    for side, resized in zip((height, width), smart_resize(height, width, WIDE, 28), strict=True):
        assert abs(side - resized) <= 14 or resized == 28


@pytest.mark.parametrize(("side", "expected"), [(42, 56), (70, 56), (98, 112), (13, 28), (29, 28)])
def test_a_side_goes_to_the_nearest_multiple_half_to_even(side, expected):
    assert smart_resize(side, 56, PixelLimits(1, 10**6), 28)[0] == expected


def test_too_long_a_frame_is_an_error():
    limits = PixelLimits(100352, 200704)
    assert smart_resize(200, 1, limits, 28)
    with pytest.raises(UserError, match="aspect ratio of at most 200, got 1x201 pixels"):
        smart_resize(201, 1, limits, 28)


def test_crossed_limits_are_an_error():
    with pytest.raises(UserError, match="min_pixels <= max_pixels"):
        PixelLimits(5, 4)


def test_images_are_resized_by_pil_and_laid_on_white():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 71, 4), np.uint8)
    pixels[:25, :, 3] = 0
    image = to_rgb(Image.fromarray(pixels))
    assert np.all(np.asarray(image)[:25] == 255)
    resized = resize_image(image, sized(3136, 12845056))
    assert resized.shape == (1, 56, 84, 3)  # 71 is nearer to 84 than to 56
    np.testing.assert_array_equal(resized[0], np.asarray(image.resize((84, 56))))
