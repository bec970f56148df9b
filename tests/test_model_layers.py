"""Norm, linear and gated MLP against NumPy in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from vreason_jax.model import layers
from vreason_jax.model.layers import Linear, Norm, SwiGLU

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
