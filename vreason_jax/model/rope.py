"""Rotary position embeddings: two axes in the vision tower, three (M-RoPE) in the decoder."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

_VISION_THETA = 10_000.0


def inverse_frequencies(width: int, theta: float) -> np.ndarray:
    """Returns theta^(-2j/width), j < width/2, float32.

    Computed in float32 on the host as torch does: float64 rounds to other values, and at position
    20,000 the cosines would differ by 1e-3.
    """
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    return (np.float32(1.0) / (np.float32(theta) ** exponents)).astype(np.float32)


def text_rope(
    positions: jax.Array, head_width: int, theta: float, axes: tuple[int, ...], dtype: jnp.dtype
) -> tuple[jax.Array, jax.Array]:
    """Returns cosines and sines [B, T, H] in `dtype` for positions [3, B, T] (axes t, h, w).

    `axes` has the axis of each frequency. Angles are float32; the cast to `dtype` is HF's.
    """
    chex.assert_rank(positions, 3)
    chex.assert_axis_dimension(positions, 0, 3)
    frequencies = inverse_frequencies(head_width, theta)
    angles = positions[np.array(axes)].astype(jnp.float32) * frequencies[:, None, None]
    angles = jnp.moveaxis(angles, 0, -1)
    angles = jnp.concatenate([angles, angles], axis=-1)
    chex.assert_shape(angles, (*positions.shape[1:], head_width))
    return jnp.cos(angles).astype(dtype), jnp.sin(angles).astype(dtype)


def vision_angles(rows: jax.Array, columns: jax.Array, head_width: int) -> jax.Array:
    """Returns the angles [..., H] float32 of patches at places [...] of their frame."""
    frequencies = jnp.asarray(inverse_frequencies(head_width // 2, _VISION_THETA))
    places = jnp.stack([jnp.asarray(a) for a in (rows, columns)], axis=-1).astype(jnp.float32)
    angles = places[..., None] * frequencies.reshape((1,) * places.ndim + (-1,))
    angles = angles.reshape(*places.shape[:-1], -1)
    return jnp.concatenate([angles, angles], axis=-1)


def rotate(x: jax.Array, cosines: jax.Array, sines: jax.Array) -> jax.Array:
    """Returns x [..., H] rotated in the pairs (i, i + H/2); cosines and sines broadcast to x."""
    first, second = jnp.split(x, 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    return x * jnp.broadcast_to(cosines, x.shape) + turned * jnp.broadcast_to(sines, x.shape)
