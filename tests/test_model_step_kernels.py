"""The kernels of one token's layer, interpreted on the CPU, against the forms without kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from vreason_jax.model import attention, layers, rope, step_kernels
from vreason_jax.model.cache import LayerCache, write_slot
from vreason_jax.runtime.mesh import AXES

ROWS, HEADS, GROUPS, WIDTH, SLOTS = 2, 2, 3, 16, 256


@pytest.fixture(autouse=True)
def few_programs(monkeypatch):
    monkeypatch.setattr(step_kernels, "_PROGRAMS", 8)  # two parts of 128 slots a head


def mesh(*sizes):
    devices = np.asarray(jax.devices()[: np.prod(sizes)]).reshape(sizes)
    return Mesh(devices, AXES, axis_types=(AxisType.Auto,) * 2)


def wide(array):
    return np.asarray(array, np.float32)


def inputs(dtype, slot):
    rng = np.random.default_rng(0)
    draw = lambda *sizes: jnp.asarray(rng.standard_normal(sizes), dtype)  # noqa: E731
    angles = np.tile(rng.standard_normal((ROWS, 1, WIDTH // 2)), 2)
    rotation = jnp.asarray(np.cos(angles), dtype), jnp.asarray(np.sin(angles), dtype)
    seen = (rng.random((ROWS, SLOTS)) < 0.7) & (np.arange(SLOTS) < slot)
    cache = LayerCache(draw(ROWS, HEADS, WIDTH, SLOTS), draw(ROWS, HEADS, SLOTS, WIDTH))
    return (
        draw(ROWS, HEADS, GROUPS + 2, 1, WIDTH),
        rotation,
        cache,
        jnp.int32(slot),
        jnp.asarray(seen),
    )


def norms(dtype):
    rng = np.random.default_rng(2)
    return tuple(jnp.asarray(1 + rng.standard_normal(WIDTH), dtype) for _ in range(2))


def without_kernels(joined, rotation, cache, slot, seen, norms=(), eps=0.0):
    if norms:
        query, key = (layers.rms_norm(joined, norm, eps) for norm in norms)
        parts = query[:, :, :GROUPS], key[:, :, GROUPS : GROUPS + 1], joined[:, :, GROUPS + 1 :]
        joined = jnp.concatenate(parts, axis=2)
    turned = rope.rotate(joined[:, :, :-1], *(table[:, None, None] for table in rotation))
    query, key, value = turned[:, :, :-1], turned[:, :, -1], joined[:, :, -1]
    weights, own = attention.step_weights(query, cache.keys, key, seen)
    context = attention.step_context(weights, own, cache.values, value)
    return context, write_slot(cache, key, value, slot, after=context)


@pytest.mark.parametrize(
    "slot, dtype, tolerance",
    [(0, "float32", 1e-6), (100, "bfloat16", 0.02), (SLOTS - 1, "float32", 1e-6)],
)
def test_a_token_attends_and_is_written_as_without_kernels(slot, dtype, tolerance):
    given = inputs(dtype, slot)
    got = step_kernels.attend(*given, mesh(1, 1), interpret=True)
    assert got[0].dtype == dtype
    for a, b in zip(*map(jax.tree.leaves, (got, without_kernels(*given))), strict=True):
        np.testing.assert_allclose(wide(a), wide(b), atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 0.05)])
def test_queries_and_keys_are_normed_as_without_kernels(dtype, tolerance):
    given, more = inputs(dtype, 100), {"norms": norms(dtype), "eps": 0.1}
    got = step_kernels.attend(*given, mesh(1, 1), **more, interpret=True)
    expected, plain = without_kernels(*given, **more), without_kernels(*given)
    assert np.abs(wide(plain[0]) - wide(expected[0])).max() > 4 * tolerance
    for a, b in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        np.testing.assert_allclose(wide(a), wide(b), atol=tolerance)


@pytest.mark.parametrize("normed", [False, True])
def test_devices_take_their_own_rows_and_heads(normed):
    given, more = inputs("float32", 200), {"norms": norms("float32") if normed else (), "eps": 0.1}
    got = step_kernels.attend(*given, mesh(2, 2), **more, interpret=True)
    for a, b in zip(*map(jax.tree.leaves, (got, without_kernels(*given, **more))), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_norm_is_the_norm_without_a_kernel(dtype):
    rng = np.random.default_rng(1)
    x, weight = (jnp.asarray(rng.standard_normal(s), dtype) for s in ((2, 1, 100), 100))
    got = step_kernels.rms_norm(x, weight, 1e-6, mesh(1, 1), interpret=True)
    expected = layers.rms_norm(x, weight, 1e-6)
    np.testing.assert_allclose(wide(got), wide(expected), rtol=1e-6)
