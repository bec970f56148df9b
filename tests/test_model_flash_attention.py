"""The prompt's attention kernels, interpreted on the CPU, against the form without a kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh

from vreason_jax.model import flash_attention
from vreason_jax.model.attention import Layout, causal_context
from vreason_jax.model.cache import LayerCache
from vreason_jax.runtime.mesh import AXES

START, LENGTH, SLOTS, WIDTH = 40, 32, 128, 16
# The rest begins in the middle of a block, and padding before it and behind it is masked.
LAYOUT = Layout(
    shared_end=jnp.array([30, 17]),
    rest_start=jnp.int32(35),
    rest_end=jnp.array([START + LENGTH, START + 20]),
    answer_start=jnp.int32(START + LENGTH),
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    for name in ("_TPU_BLOCKS", "_GPU_BLOCKS"):
        monkeypatch.setattr(flash_attention, name, (16, 32))


def inputs(dtype):
    rng = np.random.default_rng(0)
    sizes = (2, 2, 3, LENGTH, WIDTH), (2, 2, WIDTH, SLOTS), (2, 2, SLOTS, WIDTH)
    query, keys, values = (jnp.asarray(rng.standard_normal(size), dtype) for size in sizes)
    return query, LayerCache(keys, values)


def run(kernel, query, cache):
    bounds = LAYOUT.bounds(jnp.int32(START))
    return getattr(flash_attention, kernel)(query, cache.keys, cache.values, bounds, interpret=True)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("bfloat16", 0.02)])
@pytest.mark.parametrize("kernel", ["_on_gpu", "_on_tpu"])
def test_a_kernel_gives_the_context_of_the_form_without_one(kernel, dtype, tolerance):
    query, cache = inputs(dtype)
    expected = causal_context(query, cache, jnp.int32(START), LAYOUT)
    got = run(kernel, query, cache)
    assert got.dtype == expected.dtype == dtype
    np.testing.assert_allclose(
        np.asarray(got, np.float32), np.asarray(expected, np.float32), atol=tolerance
    )


def test_devices_take_their_own_rows_and_heads():
    query, cache = inputs("float32")
    grid = np.asarray(jax.devices()[:4]).reshape(2, 2)
    mesh = Mesh(grid, AXES, axis_types=(AxisType.Auto,) * 2)
    bounds = LAYOUT.bounds(jnp.int32(START))
    got = flash_attention.flash_context(query, cache, bounds, mesh, interpret=True)
    expected = causal_context(query, cache, jnp.int32(START), LAYOUT)
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("kernel", ["_on_gpu", "_on_tpu"])
def test_no_block_behind_the_last_token_is_read(kernel):
    query, cache = inputs("float32")
    noisy = LayerCache(
        cache.keys.at[..., 96:].set(jnp.nan), cache.values.at[:, :, 96:].set(jnp.nan)
    )
    clean, dirty = (run(kernel, query, c) for c in (cache, noisy))
    np.testing.assert_array_equal(clean, dirty)
