"""The tensor that the controller trains, and what it adds to the values that are steered."""

import chex
import jax
import jax.numpy as jnp


def normalised_values(values: jax.Array, delta: jax.Array, norm: str) -> jax.Array:
    """Returns V_new = (V + delta) sqrt(sum V^2 / sum (V + delta)^2), float32 [K, M, H].

    Args:
      values: V [K, M, H] float32 at the video slots; zero at padded ones.
      delta: [K, M, H] float32.
      norm: "vector" sums over H for each token and head, so that only directions change;
        "tensor" sums over everything; "none" leaves V + delta as it is.

    Where either sum is 0 the factor is 1. At delta = 0 the result is V bit for bit.
    """
    moved = values + delta
    if norm == "none":
        return moved
    axes = -1 if norm == "vector" else None
    before = jnp.sum(jnp.square(values), axis=axes, keepdims=True)
    after = jnp.sum(jnp.square(moved), axis=axes, keepdims=True)
    defined = (before > 0) & (after > 0)
    # The inner `where` keeps 0/0 out of the gradient of the branch that is not taken.
    ratio = jnp.where(defined, before, 1.0) / jnp.where(defined, after, 1.0)
    return moved * jnp.broadcast_to(jnp.sqrt(ratio), moved.shape)


def value_shift(values: jax.Array, delta: jax.Array, mask: jax.Array, norm: str) -> jax.Array:
    """Returns V_new - V [K, M, H] float32: exactly 0 at delta = 0 and at padded slots.

    The attention adds weights x shift to its context over the unchanged cache. The values so stay
    in the cache's dtype while the shift keeps the float32 that its small steps need: bfloat16 loses
    most steps of 3e-4 on values near 1.

    Args:
      values: V [K, M, H] in the cache's dtype. delta: [K, M, H] float32.
      mask: [K, M] bool, false at padded slots.
    """
    chex.assert_equal_shape([values, delta])
    chex.assert_shape(mask, values.shape[:2])
    kept = jnp.broadcast_to(mask[..., None], values.shape)
    if norm == "none":
        return jnp.where(kept, delta, 0.0)
    wide = jnp.where(kept, values.astype(jnp.float32), 0.0)
    return jnp.where(kept, normalised_values(wide, delta, norm) - wide, 0.0)
