"""The functional key/value cache: written once in prefill, one slot a token in decoding."""

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from vreason_jax.arrays import Array


class LayerCache(struct.PyTreeNode):
    """One layer's keys (after rope) and values."""

    keys: Array  # [B, K, S, H]
    values: Array  # [B, K, S, H]


class KVCache(struct.PyTreeNode):
    """The cache of the body and, beside it, of the last layer, whose values the method changes.

    Answers of a batch begin at one slot (what is padding before it is masked), so that a token's
    keys and values go to one slot for the whole batch: one dynamic_update_slice, in place when the
    cache is donated.
    """

    body: tuple[LayerCache, ...]  # L - 1 layers
    last: LayerCache

    @property
    def capacity(self) -> int:
        """How many slots there are."""
        return self.last.keys.shape[2]


def write_slot(
    cache: LayerCache, key: jax.Array, value: jax.Array, slot: jax.Array, *, after: jax.Array
) -> LayerCache:
    """Returns the cache with one token's key and value [B, K, 1, H] at `slot` (int32).

    `after` is the context [B, K, G, 1, H] that was read from the cache as it was. XLA writes in
    place only where it knows that nobody reads the old cache any more; the zero made of `after`
    tells it so. Without it every token copies every layer's cache, twice.
    """
    chex.assert_equal_shape([key, value])
    chex.assert_shape(key, (*cache.keys.shape[:2], 1, cache.keys.shape[3]))
    nothing = (after[:, :, 0] > jnp.inf)[..., :1]  # [B, K, 1, 1]
    start = (0, 0, slot, 0)

    def written(old, new):
        new = new.astype(old.dtype) + jnp.broadcast_to(nothing, new.shape).astype(old.dtype)
        return lax.dynamic_update_slice(old, new, start)

    return LayerCache(keys=written(cache.keys, key), values=written(cache.values, value))


def write_slots(
    cache: LayerCache, keys: jax.Array, values: jax.Array, start: jax.Array
) -> LayerCache:
    """Returns the cache with keys and values [B, K, T, H] in the T slots from `start` on."""

    chex.assert_equal_shape([keys, values])

    def written(old, new):
        return lax.dynamic_update_slice(old, new.astype(old.dtype), (0, 0, start, 0))

    return LayerCache(keys=written(cache.keys, keys), values=written(cache.values, values))


def with_capacity(layer: LayerCache, capacity: int) -> LayerCache:
    """Returns a cache of `capacity` slots that begins as the layer's does."""
    spare = ((0, 0), (0, 0), (0, capacity - layer.keys.shape[2]), (0, 0))
    return LayerCache(keys=jnp.pad(layer.keys, spare), values=jnp.pad(layer.values, spare))
