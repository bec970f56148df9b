"""Norm, linear, gated MLP and attention against NumPy in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.model import layers
from vreason_jax.model.layers import _FEW_ROWS, Linear, Norm, SwiGLU

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


class RmsNormTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_it_divides_by_the_root_mean_square(self):
        x, weight = 5 * draw(3, 4, 10), draw(10)
        wide = x.astype(np.float64)
        expected = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-3) * weight
        got = self.variant(lambda x, w: layers.rms_norm(x, w, 1e-3))(x, weight)
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)  # float32 rounding


def test_the_norms_epsilon_keeps_zeros_at_zero():
    np.testing.assert_array_equal(layers.rms_norm(jnp.zeros((2, 8)), jnp.ones(8), 1e-6), 0)


def test_a_narrow_norm_is_cast_back_before_the_weight():
    x, weight = jnp.asarray(draw(5, 16), jnp.bfloat16), jnp.asarray(draw(16), jnp.bfloat16)
    wide = x.astype(jnp.float32)
    scale = 1 / jnp.sqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + 1e-6)
    expected = (wide * scale).astype(jnp.bfloat16) * jnp.broadcast_to(weight, x.shape)
    got = layers.rms_norm(x, weight, 1e-6)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_array_equal(got, expected)


# One row, the most that lead with the weight, and one more: both ways of writing the product.
@pytest.mark.parametrize("out", [(5,), (2, 3)])
@pytest.mark.parametrize("rows", [(1,), (_FEW_ROWS,), (_FEW_ROWS + 1,), (3, 1), (4, 5)])
def test_linear_and_its_gradients_equal_the_einsum(rows, out):
    x, weight, upstream = draw(*rows, 6), draw(*out, 6), draw(*rows, *out)

    def total(function):
        return lambda x, w: jnp.sum(function(x, w) * upstream)

    def plain(x, w):
        return jnp.tensordot(x, w, (-1, -1))

    np.testing.assert_allclose(layers.linear(x, weight), plain(x, weight), atol=1e-5)
    got = jax.grad(total(layers.linear), argnums=(0, 1))(x, weight)
    expected = jax.grad(total(plain), argnums=(0, 1))(x, weight)
    chex.assert_trees_all_close(got, expected, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 20])
def test_narrow_products_can_be_returned_wide(rows):
    x, weight = (jnp.asarray(draw(n, 64), jnp.bfloat16) for n in (rows, 5))
    wide = layers.linear(x, weight, out_dtype=jnp.float32)
    assert wide.dtype == jnp.float32
    assert layers.linear(x, weight).dtype == jnp.bfloat16
    expected = np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T
    np.testing.assert_allclose(wide, expected, atol=1e-5)  # bfloat16 products are exact in float32


def filled(module):
    graph, leaves = jax.tree.flatten(module)[1], jax.tree.leaves(module)
    return jax.tree.unflatten(graph, [jnp.asarray(draw(*leaf.shape)) for leaf in leaves])


def test_a_linear_module_adds_its_bias():
    module = filled(Linear(5, 6, bias=True, dtype=jnp.float32))
    x = draw(2, 6)
    expected = x @ np.asarray(module.weight[...]).T + np.asarray(module.bias[...])
    np.testing.assert_allclose(module(x), expected, atol=1e-5)
    assert Linear(5, 6, bias=False, dtype=jnp.float32).bias is None


def test_a_norm_module_applies_its_weight_and_epsilon():
    module = filled(Norm(6, eps=0.5, dtype=jnp.float32))
    x = draw(2, 6)
    np.testing.assert_array_equal(module(x), layers.rms_norm(x, module.weight[...], 0.5))


def test_the_gated_mlp_is_down_of_silu_gate_times_up():
    module = filled(SwiGLU(6, 7, bias=True, dtype=jnp.float32))
    x = draw(3, 6).astype(np.float64)

    def affine(part, x):
        return x @ np.asarray(part.weight[...], np.float64).T + np.asarray(part.bias[...])

    weight, bias = (
        np.asarray(each[...], np.float64) for each in (module.gate_up.weight, module.gate_up.bias)
    )
    gate, up = (x @ weight[part].T + bias[part] for part in range(2))
    expected = affine(module.down, gate / (1 + np.exp(-gate)) * up)
    np.testing.assert_allclose(module(x.astype(np.float32)), expected, rtol=1e-4, atol=1e-4)


def attention(query, keys, values, own_key, own_value, mask):
    """One token's weights over the slots and itself, and its context, of keys [B, K, S, H]."""
    keys = jnp.asarray(keys).swapaxes(2, 3)
    weights, own = layers.step_weights(query, keys, own_key, mask)
    return weights, own, layers.step_context(weights, own, values, own_value)


def test_attention_equals_plain_numpy_with_grouped_heads():
    batch, heads, group, slots, width = 2, 2, 3, 5, 8
    query = draw(batch, heads, group, 1, width)
    keys, values = draw(batch, heads, slots, width), draw(batch, heads, slots, width)
    own_key, own_value = draw(batch, heads, 1, width), draw(batch, heads, 1, width)
    mask = np.array([[True] * 5, [True, False, True, True, False]])
    weights, own, context = attention(query, keys, values, own_key, own_value, mask)
    for b, h, g in np.ndindex(batch, heads, group):
        seen = np.concatenate([keys[b, h, mask[b]], own_key[b, h]]).astype(np.float64)
        scores = seen @ query[b, h, g, 0] / np.sqrt(width)
        p = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(weights[b, h, g, mask[b]], p[:-1], atol=1e-6)
        np.testing.assert_allclose(own[b, h, g, 0], p[-1], atol=1e-6)
        np.testing.assert_array_equal(weights[b, h, g, ~mask[b]], 0)
        expected = p @ np.concatenate([values[b, h, mask[b]], own_value[b, h]])
        np.testing.assert_allclose(context[b, h, g, 0], expected, atol=1e-5)


def test_a_token_that_sees_no_slot_sees_itself():
    mask = jnp.zeros((1, 4), bool)
    own_value = draw(1, 1, 1, 8)
    rest = draw(1, 1, 1, 1, 8), draw(1, 1, 4, 8), draw(1, 1, 4, 8), draw(1, 1, 1, 8)
    _, own, context = attention(*rest, own_value, mask)
    np.testing.assert_array_equal(own, 1)
    np.testing.assert_array_equal(context[:, :, 0], own_value)


def test_attention_over_a_narrow_cache_is_summed_wide():
    query, key, value = (jnp.asarray(draw(1, 1, 300, 8), jnp.bfloat16) for _ in range(3))
    mask = jnp.ones((1, 299), bool)
    own = key[:, :, 299:], value[:, :, 299:]
    at = query[:, :, None, :1], key[:, :, :299], value[:, :, :299], *own, mask
    weights, _, context = attention(*at)
    assert weights.dtype == context.dtype == jnp.float32
    scores = np.asarray(query, np.float64)[0, 0, 0] @ np.asarray(key, np.float64)[0, 0].T / 8**0.5
    p = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(weights[0, 0, 0], p[:299], rtol=1e-4)
    # The weights are rounded to bfloat16 (2^-9 of each) before they meet the values.
    expected = p @ np.asarray(value, np.float64)[0, 0]
    np.testing.assert_allclose(context[0, 0, 0, 0], expected, atol=2**-9 * 2)


@pytest.mark.parametrize(("rows", "out"), [(1, (64,)), (3, (64,)), (20, (64,)), (1, (2, 32))])
def test_wide_rows_times_narrow_weights_are_exact_to_about_float32(rows, out):
    rng = np.random.default_rng(rows)
    x = jnp.asarray(rng.standard_normal((rows, 96)), jnp.float32)
    weight = jnp.asarray(rng.standard_normal((*out, 96)), jnp.bfloat16)
    exact_weight = np.asarray(weight, np.float64)
    got = jax.jit(layers.linear)(x, weight)
    expected = np.tensordot(np.asarray(x, np.float64), exact_weight, (1, -1))
    assert got.dtype == jnp.float32
    # bfloat16 products err by 4e-3 here.
    np.testing.assert_allclose(got, expected, atol=2e-6 * np.abs(expected).max())
    change = jnp.asarray(rng.standard_normal((rows, *out)), jnp.float32)
    _, back = jax.vjp(layers.linear, x, weight)
    to_x, to_weight = back(change)
    expected = np.tensordot(np.asarray(change, np.float64), exact_weight, len(out))
    np.testing.assert_allclose(to_x, expected, atol=2e-6 * np.abs(expected).max())
    expected = np.tensordot(np.asarray(change, np.float64), np.asarray(x, np.float64), (0, 0))
    assert to_weight.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.asarray(to_weight, np.float64), expected, atol=5e-3 * np.abs(expected).max()
    )


@pytest.mark.parametrize("rows", [1, 4])
def test_no_wide_copy_of_a_narrow_weight_is_made(rows):
    x = jax.ShapeDtypeStruct((rows, 512), jnp.float32)
    weight = jax.ShapeDtypeStruct((4096, 512), jnp.bfloat16)

    def both(x, weight):
        y, back = jax.vjp(layers.linear, x, weight)
        return y, back(y)[0]

    memory = jax.jit(both).lower(x, weight).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4096 * 512
