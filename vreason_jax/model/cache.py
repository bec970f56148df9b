"""The functional key/value cache: written once in prefill, one slot a token in decoding."""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax


class LayerCache(struct.PyTreeNode):
    """One layer's keys (after rope) and values."""

    keys: jax.Array  # [B, K, S, H]
    values: jax.Array  # [B, K, S, H]


class KVCache(struct.PyTreeNode):
    """The cache of the body and, beside it, of the last layer, whose values the method changes.

    Prompts end at the same slot (they are padded on the left), so that a token's keys and values go
    to one slot for the whole batch: one dynamic_update_slice, in place when the cache is donated.
    """

    body: tuple[LayerCache, ...]  # L - 1 layers
    last: LayerCache


def write_slot(
    cache: LayerCache, keys: jax.Array, values: jax.Array, slot: jax.Array
) -> LayerCache:
    """Returns the cache with keys and values [B, K, T, H] written from `slot` (int32) on."""
    start = (0, 0, slot, 0)
    return LayerCache(
        keys=lax.dynamic_update_slice(cache.keys, keys.astype(cache.keys.dtype), start),
        values=lax.dynamic_update_slice(cache.values, values.astype(cache.values.dtype), start),
    )


def with_capacity(keys: jax.Array, values: jax.Array, capacity: int) -> LayerCache:
    """Returns a LayerCache of `capacity` slots that begins with keys and values [B, K, S, H]."""
    grow = ((0, 0), (0, 0), (0, capacity - keys.shape[2]), (0, 0))
    return LayerCache(keys=jnp.pad(keys, grow), values=jnp.pad(values, grow))
