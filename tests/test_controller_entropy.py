"""The entropy of the next-token distribution: closed forms, edges and gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.controller.entropy import token_entropy

# Float32 sums of a hundred terms near 1: a few units in the seventh digit.
TOLERANCE = 2e-6


class TokenEntropyTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_uniform_logits_give_the_log_of_the_vocabulary(self):
        entropy = self.variant(token_entropy)(jnp.full((2, 100), 7.0))
        np.testing.assert_allclose(entropy, [np.log(100)] * 2, rtol=TOLERANCE)

    @chex.variants(with_jit=True, without_jit=True)
    def test_one_certain_token_gives_zero(self):
        logits = jnp.full((5,), -jnp.inf).at[3].set(-2.0)
        assert self.variant(token_entropy)(logits) == 0

    @chex.variants(with_jit=True, without_jit=True)
    def test_two_tokens_at_odds_of_three_to_one(self):
        entropy = self.variant(token_entropy)(jnp.array([jnp.log(3.0), 0.0]))
        expected = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)  # 0.5623 nats
        np.testing.assert_allclose(entropy, expected, rtol=TOLERANCE)

    @chex.variants(with_jit=True, without_jit=True)
    def test_impossible_tokens_add_nothing_to_value_or_gradient(self):
        logits = jnp.array([1.0, -jnp.inf, 0.0, -jnp.inf])
        value, gradient = self.variant(jax.value_and_grad(token_entropy))(logits)
        kept_value, kept_gradient = jax.value_and_grad(token_entropy)(logits[::2])
        np.testing.assert_allclose(value, kept_value, rtol=TOLERANCE)
        expected = jnp.zeros(4).at[::2].set(kept_gradient)
        np.testing.assert_allclose(gradient, expected, rtol=TOLERANCE)


def test_the_result_does_not_depend_on_a_common_offset_or_overflow():
    logits = jnp.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(token_entropy(logits + 1e4), token_entropy(logits), rtol=TOLERANCE)
    assert jnp.isfinite(token_entropy(jnp.array([3e38, -3e38])))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_logits_are_widened_before_the_sums(dtype):
    logits = jnp.asarray(np.random.default_rng(0).standard_normal(1000), dtype)
    entropy = token_entropy(logits)
    assert entropy.dtype == jnp.float32
    wide = np.asarray(logits, np.float64)
    p = np.exp(wide) / np.exp(wide).sum()
    np.testing.assert_allclose(entropy, -(p * np.log(p)).sum(), rtol=TOLERANCE)


def test_the_gradient_is_minus_p_times_log_p_plus_entropy():
    logits = np.random.default_rng(1).standard_normal(20)
    p = np.exp(logits) / np.exp(logits).sum()
    expected = -p * (np.log(p) - (p * np.log(p)).sum())
    gradient = jax.grad(token_entropy)(jnp.asarray(logits, jnp.float32))
    np.testing.assert_allclose(gradient, expected, atol=TOLERANCE)


def test_the_gradient_agrees_with_finite_differences():
    logits = jnp.asarray(np.random.default_rng(2).standard_normal(12), jnp.float32)
    # Differences of float32 entropies over steps of 1e-2 are good to about 1e-4.
    chex.assert_numerical_grads(token_entropy, (logits,), order=1, eps=1e-2, atol=1e-3)


def exact(logits):
    """Entropy and its gradient in float64, of the same float32 logits."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(axis=-1, keepdims=True)
    weights = np.exp(z)
    order = np.argsort(-z, axis=-1, kind="stable")
    sorted_weights = np.take_along_axis(weights, order, axis=-1)
    others = sorted_weights[..., 1:].sum(axis=-1)
    p = weights / (1 + others)[..., None]
    z = np.where(np.isfinite(z), z, 0.0)
    mean = (p * z).sum(axis=-1)
    return np.log1p(others) - mean, -p * (z - mean[..., None])


@pytest.mark.parametrize("vocabulary", [32, 1_000, 152_064])
def test_value_and_gradient_keep_their_digits_however_sure_the_model_is(vocabulary):
    rng = np.random.default_rng(vocabulary)
    gaps = np.array([1, 3, 6, 10, 16, 25, 40, 60], np.float32)
    logits = rng.standard_normal((len(gaps), vocabulary)).astype(np.float32)
    logits[:, ::7] = -np.inf
    best = rng.integers(0, vocabulary, len(gaps))
    rows = np.arange(len(gaps))
    logits[rows, best] = -np.inf
    logits[rows, best] = logits.max(axis=-1) + gaps
    value, slope = exact(logits)
    got = jax.jit(jax.vmap(jax.value_and_grad(token_entropy)))(jnp.asarray(logits))
    np.testing.assert_allclose(got[0], value, rtol=1e-5)
    error = np.linalg.norm(np.asarray(got[1], np.float64) - slope, axis=-1)
    assert (error <= 1e-5 * np.linalg.norm(slope, axis=-1)).all()
    # Number by number too, where two terms of one size do not cancel.
    clear = np.abs(slope) > 1e-3 * np.abs(slope).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.asarray(got[1])[clear], slope[clear], rtol=1e-5)
    assert value.min() < 1e-20 and (np.asarray(got[1])[~np.isfinite(logits)] == 0).all()


def test_ties_for_the_largest_logit_count_each():
    value, slope = jax.value_and_grad(token_entropy)(jnp.array([5.0, 5.0, 5.0, -60.0]))
    np.testing.assert_allclose(value, np.log(3), rtol=TOLERANCE)
    np.testing.assert_allclose(slope, np.zeros(4), atol=1e-7)


@pytest.mark.parametrize("broken", [jnp.nan, jnp.inf])
def test_what_is_no_number_is_not_passed_over(broken):
    assert jnp.isnan(token_entropy(jnp.array([1.0, broken, 0.0])))
    assert jnp.isnan(token_entropy(jnp.full(3, -jnp.inf)))
