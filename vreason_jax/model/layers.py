"""Building blocks of both towers: pure functions on arrays, and the two parameter holders."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

# A decode step has at most this many rows: below it the weights lead the product (see `linear`).
_FEW_ROWS = 8
_BLOCKS = 64  # of a product's sum on a CPU, at most: several for each core
MASKED = -1e30  # finite, so that a fully masked row gives numbers and not NaN


class Linear(nnx.Module):
    """Weight [out, in] and bias [out], or none; where several are joined, `out` is a shape.

    An int8 weight has a float32 scale [out] for its rows.
    """

    def __init__(
        self,
        out: int | tuple[int, ...],
        in_width: int,
        *,
        bias: bool,
        dtype: jnp.dtype,
        int8: bool = False,
    ):
        shape = (out,) if isinstance(out, int) else out
        self.weight = nnx.Param(jnp.zeros((*shape, in_width), jnp.int8 if int8 else dtype))
        self.scale = nnx.Param(jnp.zeros(shape, jnp.float32)) if int8 else None
        self.bias = nnx.Param(jnp.zeros(shape, dtype)) if bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns x [..., in] times the weight, plus the bias: [..., *out], in the dtype of x."""
        if self.scale is None:
            y = linear(x, self.weight[...])
        else:
            y = int8_linear(x, self.weight[...], self.scale[...])
        return y if self.bias is None else y + jnp.broadcast_to(self.bias[...], y.shape)


class Norm(nnx.Module):
    """The weight [width] of an RMS norm."""

    def __init__(self, width: int, *, eps: float, dtype: jnp.dtype):
        self.weight = nnx.Param(jnp.zeros((width,), dtype))
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns x [..., width] normalised, in the dtype of x."""
        return rms_norm(x, self.weight[...], self.eps)


class LayerNorm(nnx.Module):
    """The weight and the bias [width] of a layer norm."""

    def __init__(self, width: int, *, eps: float, dtype: jnp.dtype):
        self.weight = nnx.Param(jnp.zeros((width,), dtype))
        self.bias = nnx.Param(jnp.zeros((width,), dtype))
        self.eps = eps

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns x [..., width] normalised, in the dtype of x; computed in float32."""
        wide = x.astype(jnp.float32)
        centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
        scale = lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + self.eps)
        weight, bias = (
            jnp.broadcast_to(a[...].astype(jnp.float32), x.shape) for a in (self.weight, self.bias)
        )
        return (centred * scale * weight + bias).astype(x.dtype)


class SwiGLU(nnx.Module):
    """The gated MLP of both towers: down(silu(gate(x)) * up(x))."""

    def __init__(
        self, width: int, mlp_width: int, *, bias: bool, dtype: jnp.dtype, int8: bool = False
    ):
        self.gate_up = Linear((2, mlp_width), width, bias=bias, dtype=dtype, int8=int8)
        self.down = Linear(width, mlp_width, bias=bias, dtype=dtype, int8=int8)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns [..., width] for x [..., width]."""
        both = self.gate_up(x)
        return self.down(jax.nn.silu(both[..., 0, :]) * both[..., 1, :])


class MLP(nnx.Module):
    """fc2(activation(fc1(x))), with biases."""

    def __init__(
        self, width: int, mlp_width: int, activation: Callable[[jax.Array], jax.Array], *, dtype
    ):
        self.fc1 = Linear(mlp_width, width, bias=True, dtype=dtype)
        self.fc2 = Linear(width, mlp_width, bias=True, dtype=dtype)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns [..., width] for x [..., width]."""
        return self.fc2(self.activation(self.fc1(x)))


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

    def widened(rows, weight):
        return _linear_rows(rows, weight.astype(rows.dtype), jnp.dtype(jnp.float32))

    rows = x.reshape(-1, x.shape[-1])
    if rows.shape[0] == 1:
        one = functools.partial(_multiplied_and_summed, axes=_forward(weight))
        product = lax.platform_dependent(rows, weight, cpu=one, default=widened)
    else:
        product = widened(rows, weight)
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
    contract = functools.partial(_in_terms, axes=axes)
    if rows.shape[0] > 1:
        return contract(rows, weight)
    one = functools.partial(_multiplied_and_summed, axes=axes)
    return lax.platform_dependent(rows, weight, cpu=one, default=contract)


def _multiplied_and_summed(rows: jax.Array, weight: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    # A reading of its own to XLA, which would else keep a widened copy for the backward product.
    rows, weight = lax.optimization_barrier((rows, weight))
    row = lax.broadcast_in_dim(rows[0].astype(jnp.float32), weight.shape, axes)
    return jnp.sum(weight.astype(jnp.float32) * row, axis=axes)[None]


def _in_terms(rows: jax.Array, weight: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """One product over three bfloat16 terms of each row: their 24 bits are all of float32's."""
    contract = functools.partial(
        lax.dot_general,
        dimension_numbers=((tuple(range(1, rows.ndim)), axes), ((), ())),
        preferred_element_type=jnp.float32,
    )
    if weight.dtype != jnp.bfloat16:  # float16 has not the range for small terms
        return contract(rows, weight, precision="highest")
    terms, rest = [], rows
    for _ in range(3):
        # Not by a cast there and back, which XLA may take for nothing.
        term = lax.reduce_precision(rest, exponent_bits=8, mantissa_bits=7)
        terms.append(term.astype(weight.dtype))
        rest = rest - term
    # Products of bfloat16 numbers are exact; asking for more would widen the weight.
    product = contract(jnp.concatenate(terms), weight, precision="default")
    return jnp.sum(product.reshape(3, rows.shape[0], *product.shape[1:]), axis=0)


def _linear_rows(rows: jax.Array, weight: jax.Array, out_dtype: jnp.dtype) -> jax.Array:
    if rows.shape[0] == 1 and rows.dtype == weight.dtype == out_dtype == jnp.float32:
        return _one_row(rows, weight)
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


def rms_norm(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    """Returns x / rms(x) * weight over the last axis.

    Statistics in float32, cast back before the weight is applied, as transformers' RMSNorm does.
    """
    wide = x.astype(jnp.float32)
    scale = lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + eps)
    normed = (wide * scale).astype(x.dtype)
    return normed * jnp.broadcast_to(weight, x.shape)


def step_weights(
    query: jax.Array, keys: jax.Array, own_key: jax.Array, mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns one token's attention weights over the cache [B, K, G, S] and itself [B, K, G, 1].

    Float32. The token's own key stands beside the cache, which is so read before it is written
    (see `write_slot`).

    Args:
      query: [B, K, G, 1, H]. keys: [B, K, H, S]. own_key: [B, K, 1, H].
      mask: [B, S] bool, the slots before the token.
    """
    scale = query.shape[-1] ** -0.5
    heads = query[:, :, :, 0]
    scores = lax.dot_general(
        heads, keys, (((3,), (2,)), ((0, 1), (0, 1))), preferred_element_type=jnp.float32
    )
    scores = jnp.where(mask[:, None, None], scores * scale, MASKED)
    products = heads.astype(jnp.float32) * own_key.astype(jnp.float32)
    own = jnp.sum(products, axis=-1, keepdims=True) * scale
    largest = jnp.maximum(jnp.max(scores, axis=-1, keepdims=True), own)
    scores, own = jnp.exp(scores - largest), jnp.exp(own - largest)
    total = jnp.sum(scores, axis=-1, keepdims=True) + own
    return scores / total, own / total


def step_context(
    weights: jax.Array, own_weight: jax.Array, values: jax.Array, own_value: jax.Array
) -> jax.Array:
    """Returns the context [B, K, G, 1, H] float32 of the weights of `step_weights`.

    values: [B, K, S, H]. own_value: [B, K, 1, H].
    """
    context = lax.dot_general(
        weights.astype(values.dtype),
        values,
        (((3,), (2,)), ((0, 1), (0, 1))),
        preferred_element_type=jnp.float32,
    )
    own = own_weight * own_value.astype(jnp.float32)
    return (context + own)[:, :, :, None]
