"""One token's attention over the cache and itself, against NumPy in float64."""

import jax.numpy as jnp
import numpy as np

from vreason_jax.model.attention import step_context, step_weights

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def attention(query, keys, values, own_key, own_value, mask):
    """One token's weights over the slots and itself, and its context, of keys [B, K, S, H]."""
    keys = jnp.asarray(keys).swapaxes(2, 3)
    weights, own = step_weights(query, keys, own_key, mask)
    return weights, own, step_context(weights, own, values, own_value)


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
