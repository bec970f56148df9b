"""Products of rows with weights against NumPy in float64, for few rows and many."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from vreason_jax.model.products import _FEW_ROWS, _contract, _contract_by_blocks, linear

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


# One row, the most that lead with the weight, and one more: both ways of writing the product.
@pytest.mark.parametrize("out", [(5,), (2, 3)])
@pytest.mark.parametrize("rows", [(1,), (_FEW_ROWS,), (_FEW_ROWS + 1,), (3, 1), (4, 5)])
def test_linear_and_its_gradients_equal_the_einsum(rows, out):
    x, weight, upstream = draw(*rows, 6), draw(*out, 6), draw(*rows, *out)

    def total(function):
        return lambda x, w: jnp.sum(function(x, w) * upstream)

    def plain(x, w):
        return jnp.tensordot(x, w, (-1, -1))

    np.testing.assert_allclose(linear(x, weight), plain(x, weight), atol=1e-5)
    got = jax.grad(total(linear), argnums=(0, 1))(x, weight)
    expected = jax.grad(total(plain), argnums=(0, 1))(x, weight)
    chex.assert_trees_all_close(got, expected, atol=1e-5)


@pytest.mark.parametrize("out", [7, 152, 512, 1187 * 8])
def test_a_long_sum_in_blocks_is_the_sum(out):
    rows, weight = draw(3, out), draw(out, 6)
    expected = _contract(rows, weight, "highest", axes=(0,))
    # float32 sums in another order
    np.testing.assert_allclose(
        _contract_by_blocks(rows, weight, "highest"), expected, atol=1e-5 * out**0.5
    )


@pytest.mark.skipif(
    jax.device_count() < 4, reason="needs 4 devices: tests/conftest.py fakes them on a CPU"
)
@pytest.mark.parametrize("out", [(64,), (2, 32)])
def test_devices_that_share_rows_send_each_other_none(out):
    mesh = jax.make_mesh((2, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    rows, cut = (
        NamedSharding(mesh, P(*axes)) for axes in (("data",), (*(None,) * (len(out) - 1), "model"))
    )
    x = jax.ShapeDtypeStruct((8, 96), jnp.float32, sharding=rows)
    weight = jax.ShapeDtypeStruct((*out, 96), jnp.bfloat16, sharding=cut)
    text = jax.jit(linear).lower(x, weight).compile().as_text()
    assert "all-to-all" not in text and "all-gather" not in text


@pytest.mark.parametrize(("rows", "out"), [(1, (5,)), (20, (5,)), (1, (2, 3)), (20, (2, 3))])
def test_narrow_products_can_be_returned_wide(rows, out):
    x, weight = (jnp.asarray(draw(*n, 64), jnp.bfloat16) for n in ((rows,), out))
    wide, narrow = linear(x, weight, out_dtype=jnp.float32), linear(x, weight)
    assert (wide.dtype, narrow.dtype) == (jnp.float32, jnp.bfloat16)
    expected = np.tensordot(np.asarray(x, np.float64), np.asarray(weight, np.float64), (-1, -1))
    np.testing.assert_allclose(wide, expected, atol=1e-5)  # bfloat16 products are exact in float32
    chex.assert_trees_all_equal(narrow, wide.astype(jnp.bfloat16))  # rounded once, at the end


@pytest.mark.parametrize(("rows", "out"), [(1, (64,)), (3, (64,)), (20, (64,)), (1, (2, 32))])
def test_wide_rows_times_narrow_weights_are_exact_to_about_float32(rows, out):
    rng = np.random.default_rng(rows)
    x = jnp.asarray(rng.standard_normal((rows, 96)), jnp.float32)
    weight = jnp.asarray(rng.standard_normal((*out, 96)), jnp.bfloat16)
    exact_weight = np.asarray(weight, np.float64)
    got = jax.jit(linear)(x, weight)
    expected = np.tensordot(np.asarray(x, np.float64), exact_weight, (1, -1))
    assert got.dtype == jnp.float32
    # bfloat16 products err by 4e-3 here.
    np.testing.assert_allclose(got, expected, atol=2e-6 * np.abs(expected).max())
    change = jnp.asarray(rng.standard_normal((rows, *out)), jnp.float32)
    _, back = jax.vjp(linear, x, weight)
    to_x, to_weight = back(change)
    expected = np.tensordot(np.asarray(change, np.float64), exact_weight, len(out))
    np.testing.assert_allclose(to_x, expected, atol=2e-6 * np.abs(expected).max())
    expected = np.tensordot(np.asarray(change, np.float64), np.asarray(x, np.float64), (0, 0))
    assert to_weight.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.asarray(to_weight, np.float64), expected, atol=5e-3 * np.abs(expected).max()
    )


@pytest.mark.parametrize(("rows", "dtype"), [(1, "float32"), (4, "float32"), (1, "bfloat16")])
def test_no_wide_copy_of_a_narrow_weight_is_made(rows, dtype):
    """Nor backwards for wide rows, which are the last layer's."""
    x = jax.ShapeDtypeStruct((rows, 512), dtype)
    weight = jax.ShapeDtypeStruct((4096, 512), jnp.bfloat16)

    def both(x, weight):
        y, back = jax.vjp(linear, x, weight)
        return y, back(y)[0]

    function = both if dtype == "float32" else linear
    memory = jax.jit(function).lower(x, weight).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4096 * 512
