"""V_new: identity at delta 0, kept lengths, padding, zero sums, gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.controller.value_delta import normalised_values, value_shift

NORMS = ("vector", "tensor", "none")
SHAPE = (2, 5, 8)  # K, M, H


def draw(seed, shape=SHAPE, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


VALUES, DELTA = draw(0), 0.5 * draw(1)
MASK = jnp.array([[True] * 5, [True, True, True, False, False]])


class IdentityTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_zero_delta_gives_the_values_bit_for_bit(self):
        for norm in NORMS:
            for seed, width in enumerate((8, 37, 128)):
                values = 10.0 ** (seed - 1) * draw(seed, (2, 5, width))
                same = self.variant(lambda v, d, norm=norm: normalised_values(v, d, norm))
                chex.assert_trees_all_equal(same(values, jnp.zeros_like(values)), values)

    @chex.variants(with_jit=True, without_jit=True)
    def test_zero_delta_shifts_no_cached_value(self):
        for norm in NORMS:
            for dtype in (jnp.float32, jnp.bfloat16):
                values = draw(2, dtype=dtype)
                shift = self.variant(lambda v, d, m, norm=norm: value_shift(v, d, m, norm))
                moved = shift(values, jnp.zeros(SHAPE), MASK)
                assert moved.dtype == jnp.float32
                np.testing.assert_array_equal(moved, 0)


def lengths(x, axes):
    return np.sqrt(np.square(np.asarray(x, np.float64)).sum(axes))


def test_vector_keeps_the_length_of_every_token_and_head():
    moved = normalised_values(VALUES, DELTA, "vector")
    np.testing.assert_allclose(lengths(moved, -1), lengths(VALUES, -1), rtol=1e-6)
    assert not np.allclose(moved, VALUES, atol=0.1)


def test_tensor_keeps_the_length_of_the_whole_alone():
    moved = normalised_values(VALUES, DELTA, "tensor")
    np.testing.assert_allclose(lengths(moved, None), lengths(VALUES, None), rtol=1e-6)
    assert not np.allclose(lengths(moved, -1), lengths(VALUES, -1), rtol=1e-2)


def test_none_adds_the_delta():
    np.testing.assert_array_equal(normalised_values(VALUES, DELTA, "none"), VALUES + DELTA)


def test_a_quarter_turn_by_hand():
    # (3, 0) + (-3, 4) = (0, 4), brought back to length 3.
    moved = normalised_values(jnp.array([[[3.0, 0.0]]]), jnp.array([[[-3.0, 4.0]]]), "vector")
    np.testing.assert_allclose(moved[0, 0], [0.0, 3.0], rtol=1e-6)


@pytest.mark.parametrize("norm", ["vector", "tensor"])
def test_a_sum_of_zero_leaves_the_factor_at_one(norm):
    zeros, ones = jnp.zeros(SHAPE), jnp.ones(SHAPE)
    np.testing.assert_array_equal(normalised_values(zeros, ones, norm), ones)
    np.testing.assert_array_equal(normalised_values(ones, -ones, norm), zeros)
    np.testing.assert_array_equal(normalised_values(zeros, zeros, norm), zeros)
    for values, delta in [(zeros, ones), (ones, -ones), (zeros, zeros)]:
        gradient = jax.grad(lambda d, v=values: normalised_values(v, d, norm).sum())(delta)
        np.testing.assert_array_equal(gradient, ones)


@pytest.mark.parametrize("norm", NORMS)
def test_padded_slots_neither_move_nor_get_a_gradient(norm):
    padded = ~np.broadcast_to(MASK[..., None], SHAPE)
    values = jnp.where(padded, jnp.nan, VALUES)  # whatever stands there must not leak

    def total(delta):
        shift = value_shift(values, delta, MASK, norm)
        return jnp.sum(shift * draw(3)), shift

    # A trained delta is 0 at padded slots: AdamW leaves what has neither gradient nor weight.
    gradient, shift = jax.grad(total, has_aux=True)(jnp.where(padded, 0.0, DELTA))
    chex.assert_tree_all_finite((gradient, shift))
    np.testing.assert_array_equal(shift[padded], 0)
    np.testing.assert_array_equal(gradient[padded], 0)
    assert (np.asarray(gradient)[~padded] != 0).all()


@pytest.mark.parametrize("norm", NORMS)
def test_padding_does_not_change_what_the_other_slots_become(norm):
    more = jnp.pad(VALUES, ((0, 0), (0, 3), (0, 0)))
    delta = jnp.pad(DELTA, ((0, 0), (0, 3), (0, 0)))
    mask = jnp.pad(MASK, ((0, 0), (0, 3)))
    shift = value_shift(VALUES, jnp.where(MASK[..., None], DELTA, 0), MASK, norm)
    padded = value_shift(more, jnp.where(mask[..., None], delta, 0), mask, norm)
    np.testing.assert_allclose(padded[:, :5], shift, atol=1e-6)


def test_no_gradient_along_the_moved_values_themselves():
    gradient = jax.grad(lambda d: jnp.sum(draw(4) * normalised_values(VALUES, d, "vector")))(DELTA)
    radial = jnp.sum(gradient * (VALUES + DELTA), axis=-1)
    np.testing.assert_allclose(radial, 0, atol=1e-5)  # float32 sums of 8 products near 1


@pytest.mark.parametrize("norm", NORMS)
def test_the_gradient_agrees_with_finite_differences(norm):
    weights = draw(5)

    def total(delta):
        return jnp.sum(weights * value_shift(VALUES, delta, MASK, norm))

    # Central differences of float32 sums near 10 over steps of 1e-2.
    chex.assert_numerical_grads(total, (DELTA,), order=1, eps=1e-2, atol=2e-2, rtol=2e-2)
