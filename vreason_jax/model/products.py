"""Products of activations with weights [out, in]: exact in float32, fast for few rows and many."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

# A decode step has at most this many rows: below it the weights lead the product (see `linear`).
_FEW_ROWS = 8
_BLOCKS = 64  # of a product's long sum, at most: several for each core of a CPU
_GPU_BLOCKS = 16  # each block's sums are written; with fewer of a long sum XLA copies the weight


def linear(x: jax.Array, weight: jax.Array, out_dtype: jnp.dtype | None = None) -> jax.Array:
    """Returns y[..., o] = sum_i x[..., i] weight[o, i], summed in float32, in `out_dtype` or x's.

    `o` may be several axes. float32 activations keep their digits whatever the weights are stored
    in. With few rows the product is written weight-first and the backward one activation-first:
    both then read the weight along its rows, which XLA's CPU code needs to be fast.
    """
    out_dtype = jnp.dtype(out_dtype or x.dtype)
    rows = x.reshape(-1, x.shape[-1])
    if x.dtype == jnp.float32 and weight.dtype != jnp.float32:
        product = _exact_rows(rows, weight).astype(out_dtype)
    else:
        product = _linear_rows(rows, weight, out_dtype)
    return product.reshape(*x.shape[:-1], *weight.shape[:-1])


def int8_linear(x: jax.Array, weight: jax.Array, scale: jax.Array) -> jax.Array:
    """Returns y[..., o] = scale[o] sum_i x[..., i] weight[o, i], summed in float32, in x's dtype.

    Accelerators widen the bytes inside the product, a CPU does so for one row alone.
    """
    rows, wide = x.reshape(-1, x.shape[-1]), jnp.dtype(jnp.float32)
    if rows.shape[0] == 1:
        product = _one_narrow_row(rows, weight, wide)
    else:
        product = _linear_rows(rows, weight.astype(rows.dtype), wide)
    scaled = product * jnp.broadcast_to(scale, product.shape)
    return scaled.astype(x.dtype).reshape(*x.shape[:-1], *weight.shape[:-1])


@jax.custom_vjp
def _exact_rows(rows: jax.Array, weight: jax.Array) -> jax.Array:
    """Returns rows [R, in] times weight [*out, in]: [R, *out], exact to about float32.

    Matrix units multiply in bfloat16 unless told, and told they may widen the weight in memory,
    which for a head is gigabytes. So the weight stays as it is stored and is read once.
    """
    return _exact(rows, weight, _forward(weight))


def _exact_rows_forward(rows, weight):
    return _exact_rows(rows, weight), (rows, weight)


def _exact_rows_backward(saved, gradient):
    rows, weight = saved
    # Nobody trains through this product; where the second is not used it is not computed.
    return _exact(gradient, weight, _backward(weight)), _weight_gradient(gradient, rows, weight)


_exact_rows.defvjp(_exact_rows_forward, _exact_rows_backward)


def _forward(weight: jax.Array) -> tuple[int, ...]:
    """The weight's axes over which y = weight x sums."""
    return (weight.ndim - 1,)


def _backward(weight: jax.Array) -> tuple[int, ...]:
    return tuple(range(weight.ndim - 1))


def _weight_gradient(gradient: jax.Array, rows: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.tensordot(gradient, rows, (0, 0)).astype(weight.dtype)


def _exact(rows: jax.Array, weight: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Contracts rows [R, *N] with axes of the weight.

    On a CPU one row is multiplied and summed in float32, in one pass; matrix units take it as they
    take several.
    """
    contract = functools.partial(_contract, axes=axes)
    ways = {"default": functools.partial(_in_terms, contract=contract)}
    if rows.shape[0] == 1:
        ways["cpu"] = functools.partial(_multiplied_and_summed, axes=axes)
    if weight.ndim == 2 and axes == (0,):
        ways["cuda"] = functools.partial(_in_terms, contract=_contract_by_blocks)
    return lax.platform_dependent(rows, weight, **ways)


def _multiplied_and_summed(rows: jax.Array, weight: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    # A reading of its own to XLA, which would else keep a widened copy for the backward product.
    rows, weight = lax.optimization_barrier((rows, weight))
    row = lax.broadcast_in_dim(rows[0].astype(jnp.float32), weight.shape, axes)
    return jnp.sum(weight.astype(jnp.float32) * row, axis=axes)[None]


def _contract(rows: jax.Array, weight: jax.Array, precision: str, axes: tuple[int, ...]):
    summed = (tuple(range(1, rows.ndim)), axes)
    return lax.dot_general(
        rows, weight, (summed, ((), ())), precision, preferred_element_type=jnp.float32
    )


def _contract_by_blocks(rows: jax.Array, weight: jax.Array, precision: str) -> jax.Array:
    """Rows [R, out] times weight [out, in].

    XLA's GPU code cuts so long a sum by itself, and copies a weight whose length does not fit. Of
    blocks that are many, and even for tensor cores, it takes each as it lies.
    """
    count, (out, width) = len(rows), weight.shape
    blocks = math.gcd(out // 8, _GPU_BLOCKS) if out % 8 == 0 else 1
    products = jnp.einsum(
        "rbo,boi->rbi",
        rows.reshape(count, blocks, -1),
        weight.reshape(blocks, -1, width),
        precision=precision,
        preferred_element_type=jnp.float32,
    )
    return jnp.sum(products, axis=1)


def _in_terms(rows: jax.Array, weight: jax.Array, contract: Callable) -> jax.Array:
    """One product over three bfloat16 terms of each row: their 24 bits are all of float32's."""
    if weight.dtype != jnp.bfloat16:  # float16 has not the range for small terms
        return contract(rows, weight, "highest")
    terms, rest = [], rows
    for _ in range(3):
        # Not by a cast there and back, which XLA may take for nothing.
        term = lax.reduce_precision(rest, exponent_bits=8, mantissa_bits=7)
        terms.append(term.astype(weight.dtype))
        rest = rest - term
    # A row's terms stand side by side, so that devices which share the rows send each other none.
    stacked = jnp.stack(terms, axis=1).reshape(-1, *rows.shape[1:])
    # Products of bfloat16 numbers are exact; asking for more would widen the weight.
    product = contract(stacked, weight, "default")
    return jnp.sum(product.reshape(rows.shape[0], 3, *product.shape[1:]), axis=1)


def _linear_rows(rows: jax.Array, weight: jax.Array, out_dtype: jnp.dtype) -> jax.Array:
    if rows.shape[0] == 1 and rows.dtype == weight.dtype == out_dtype == jnp.float32:
        return _one_row(rows, weight)
    if rows.shape[0] == 1 and weight.dtype != jnp.float32:
        return _one_narrow_row(rows, weight, out_dtype)
    if rows.shape[0] <= _FEW_ROWS:
        return _weight_first(rows, weight, out_dtype)
    rows_first = functools.partial(_rows_first, out_dtype=out_dtype)
    if weight.ndim == 2:
        return rows_first(rows, weight)

    def flat(rows, weight):
        product = rows_first(rows, weight.reshape(-1, weight.shape[-1]))
        return product.reshape(-1, *weight.shape[:-1])

    # XLA's CPU code would turn a weight of more axes around in memory; one that devices share could
    # not be flattened where it lies.
    return lax.platform_dependent(rows, weight, cpu=flat, default=rows_first)


def _one_narrow_row(row: jax.Array, weight: jax.Array, out_dtype: jnp.dtype) -> jax.Array:
    """Returns row [1, in] times weight [*out, in] of 16 or 8 bits: [1, *out] in `out_dtype`.

    XLA's CPU products of such numbers run at a third, or less, of the rate at which memory gives
    them.
    """

    def summed(row, weight):
        return _multiplied_and_summed(row, weight, _forward(weight)).astype(out_dtype)

    def weight_first(row, weight):
        return _weight_first(row, weight.astype(row.dtype), out_dtype)

    return lax.platform_dependent(row, weight, cpu=summed, default=weight_first)


def _rows_first(rows: jax.Array, weight: jax.Array, out_dtype: jnp.dtype) -> jax.Array:
    dimensions = (((1,), _forward(weight)), ((), ()))
    return lax.dot_general(rows, weight, dimensions, preferred_element_type=out_dtype)


def _weight_first(rows: jax.Array, weight: jax.Array, out_dtype: jnp.dtype) -> jax.Array:
    dimensions = ((_forward(weight), (1,)), ((), ()))
    product = lax.dot_general(weight, rows, dimensions, preferred_element_type=out_dtype)
    return jnp.moveaxis(product, -1, 0)


@jax.custom_vjp
def _one_row(row: jax.Array, weight: jax.Array) -> jax.Array:
    """Returns row [1, in] times weight [*out, in]: [1, *out]."""
    return _weight_first(row, weight, row.dtype)


def _one_row_backward(saved, gradient):
    row, weight = saved
    back = lax.platform_dependent(gradient, weight, cpu=_by_blocks, default=_back)
    return back, _weight_gradient(gradient, row, weight)


_one_row.defvjp(lambda row, weight: (_one_row(row, weight), (row, weight)), _one_row_backward)


def _back(gradient: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.tensordot(gradient, weight, weight.ndim - 1)


def _by_blocks(row: jax.Array, weight: jax.Array) -> jax.Array:
    """Returns row [1, *out] times weight [*out, in]: XLA's CPU code gives each core its blocks.

    It would else leave the product to one core, which takes twice as long for a head.
    """
    *outer, inner, width = weight.shape
    blocks = math.gcd(inner, _BLOCKS)
    products = jnp.einsum(
        "...o,...oi->...i",
        row.reshape(*outer, blocks, -1),
        weight.reshape(*outer, blocks, -1, width),
    )
    return jnp.sum(products.reshape(-1, width), axis=0, keepdims=True)
