"""Building blocks of both towers, which hold the parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from vreason_jax.model.products import int8_linear, linear


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


def rms_norm(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    """Returns x / rms(x) * weight over the last axis.

    Statistics in float32, cast back before the weight is applied, as transformers' RMSNorm does.
    """
    wide = x.astype(jnp.float32)
    scale = lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + eps)
    normed = (wide * scale).astype(x.dtype)
    return normed * jnp.broadcast_to(weight, x.shape)
