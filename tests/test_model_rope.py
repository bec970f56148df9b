"""Rotary tables against plain NumPy, and the rotation itself by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.model import rope

AXES = (0, 0, 1, 1, 1, 2, 2, 2)


def plain_text_tables(positions, width, theta, section):
    """Cosines and sines [T, H] of one row, number by number in float32."""
    half = width // 2
    axis = [a for a, count in enumerate(section) for _ in range(count)]
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    frequencies = np.float32(1) / np.power(np.float32(theta), exponents)
    angles = np.zeros((positions.shape[1], width), np.float32)
    for slot in range(half):
        angles[:, slot] = positions[axis[slot]].astype(np.float32) * frequencies[slot]
        angles[:, slot + half] = angles[:, slot]
    return np.cos(angles), np.sin(angles)


@pytest.mark.parametrize(
    ("width", "theta", "section"), [(128, 1e6, (16, 24, 24)), (16, 1e4, (2, 3, 3))]
)
def test_text_tables_equal_plain_numpy(width, theta, section):
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 2000, (3, 2, 9))
    axes = tuple(np.repeat(range(3), section).tolist())
    cosines, sines = rope.text_rope(jnp.asarray(positions), width, theta, axes, jnp.float32)
    for row in range(2):
        expected = plain_text_tables(positions[:, row], width, theta, section)
        # The angles are equal to the bit; XLA and NumPy take cosines of them in float32.
        np.testing.assert_allclose(cosines[row], expected[0], atol=2e-6)
        np.testing.assert_allclose(sines[row], expected[1], atol=2e-6)


def test_equal_positions_on_all_axes_are_plain_rope():
    positions = np.tile(np.arange(7), (3, 1, 1))
    one = rope.text_rope(jnp.asarray(positions), 16, 1e4, AXES, jnp.float32)
    other = rope.text_rope(jnp.asarray(positions), 16, 1e4, (0,) * 8, jnp.float32)
    np.testing.assert_array_equal(one, other)


def test_each_axis_turns_its_own_section():
    positions = np.zeros((3, 1, 1), int)
    for axis, slots in enumerate([range(0, 2), range(2, 5), range(5, 8)]):
        moved = positions.copy()
        moved[axis] = 1
        _, sines = rope.text_rope(jnp.asarray(moved), 16, 1e4, AXES, jnp.float32)
        turned = np.flatnonzero(np.asarray(sines)[0, 0]).tolist()
        assert turned == [*slots, *(s + 8 for s in slots)]


def test_the_tables_are_cast_after_the_cosine():
    positions = jnp.full((3, 1, 1), 20_001)
    narrow, _ = rope.text_rope(positions, 16, 1e4, AXES, jnp.bfloat16)
    wide, _ = rope.text_rope(positions, 16, 1e4, AXES, jnp.float32)
    np.testing.assert_array_equal(narrow, wide.astype(jnp.bfloat16))


def test_frequencies_are_computed_in_float32():
    exponents = np.arange(0, 128, 2, dtype=np.float32) / np.float32(128)
    expected = np.float32(1) / np.power(np.float32(1e6), exponents)
    frequencies = rope.inverse_frequencies(128, 1e6)
    assert frequencies.dtype == np.float32
    np.testing.assert_array_equal(frequencies, expected)
    wide = (1 / 1e6 ** (np.arange(0, 128, 2) / 128)).astype(np.float32)
    assert (frequencies != wide).sum() > 10, "float64 would give other numbers"


def test_vision_angles_are_rows_then_columns_twice():
    angles = rope.vision_angles(np.array([0, 3]), np.array([5, 2]), 16)
    frequencies = np.float32(1) / np.float32(1e4) ** (np.arange(0, 8, 2, dtype=np.float32) / 8)
    for patch, (row, column) in enumerate([(0, 5), (3, 2)]):
        half = np.concatenate([row * frequencies, column * frequencies])
        np.testing.assert_array_equal(angles[patch], np.concatenate([half, half]))


def test_a_quarter_turn_swaps_the_halves():
    x = jnp.array([1.0, 2.0, 3.0, 4.0])
    turned = rope.rotate(x, jnp.zeros(4), jnp.ones(4))
    np.testing.assert_array_equal(turned, [-3.0, -4.0, 1.0, 2.0])


def test_products_of_rotated_vectors_depend_on_the_distance_alone():
    rng = np.random.default_rng(1)
    query, key = jnp.asarray(rng.standard_normal((2, 16)), jnp.float32)

    def score(at, other):
        positions = jnp.broadcast_to(jnp.array([at, other]), (3, 1, 2))
        cosines, sines = rope.text_rope(positions, 16, 1e4, AXES, jnp.float32)
        return rope.rotate(query, cosines[0, 0], sines[0, 0]) @ rope.rotate(
            key, cosines[0, 1], sines[0, 1]
        )

    np.testing.assert_allclose(score(5, 2), score(105, 102), atol=1e-4)
    assert abs(score(5, 2) - score(5, 3)) > 1e-2
