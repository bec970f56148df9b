"""The functional key/value cache: written once in prefill, one slot a token in decoding."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from vreason_jax.arrays import Array
from vreason_jax.model.config import TextConfig


class LayerCache(struct.PyTreeNode):
    """One layer's keys (after rope) and values.

    Each lies as the product that reads it for every token wants it: scores sum over the width,
    contexts over the slots, and slots or width come last in what they give.
    """

    keys: Array  # [B, K, H, S]
    values: Array  # [B, K, S, H]

    @classmethod
    def of(cls, array: Callable, rows: int, heads: int, slots: int, width: int, dtype: jnp.dtype):
        """Returns a cache [B, K] of S slots of width H, of what `array(shape, dtype)` makes."""
        keys = array((rows, heads, width, slots), dtype)
        return cls(keys=keys, values=array((rows, heads, slots, width), dtype))


class KVCache(struct.PyTreeNode):
    """The cache of the body and, beside it, of the last layer, whose values the method changes.

    Answers of a batch begin at one slot (what is padding before it is masked), so that a token's
    keys and values go to one slot for the whole batch: one dynamic_update_slice, in place when the
    cache is donated.
    """

    body: tuple[LayerCache, ...]  # L - 1 layers
    last: LayerCache

    @classmethod
    def of(cls, array: Callable, config: TextConfig, rows: int, slots: int, dtype: jnp.dtype):
        """Returns a decoder's cache of S slots, of what `array(shape, dtype)` makes."""
        layer = LayerCache.of(array, rows, config.kv_heads, slots, config.head_width, dtype)
        return cls(body=(layer,) * (config.layers - 1), last=layer)

    @property
    def capacity(self) -> int:
        """How many slots there are."""
        return self.last.values.shape[2]


def write_slot(
    cache: LayerCache, key: jax.Array, value: jax.Array, slot: jax.Array, *, after: jax.Array
) -> LayerCache:
    """Returns the cache with one token's key and value [B, K, 1, H] at `slot` (int32).

    `after` is the context [B, K, G, 1, H] that was read from the cache as it was. XLA writes in
    place only where it knows that nobody reads the old cache any more; the zero made of `after`
    tells it so. Without it every token copies every layer's cache, twice.
    """
    chex.assert_shape((key, value), (*cache.values.shape[:2], 1, cache.values.shape[3]))
    nothing = (after[:, :, 0] > jnp.inf)[..., :1]  # [B, K, 1, 1]

    def known(new):
        return new + jnp.broadcast_to(nothing, new.shape).astype(new.dtype)

    return write_slots(cache, known(key), known(value), slot)


def write_slots(
    cache: LayerCache, keys: jax.Array, values: jax.Array, start: jax.Array
) -> LayerCache:
    """Returns the cache with keys and values [B, K, T, H] in the T slots from `start` on."""
    chex.assert_equal_shape([keys, values])
    return LayerCache(
        keys=_written(cache.keys, keys.swapaxes(2, 3), (0, 0, 0, start)),
        values=_written(cache.values, values, (0, 0, start, 0)),
    )


def with_capacity(layer: LayerCache, capacity: int) -> LayerCache:
    """Returns a cache of `capacity` slots that begins as the layer's does."""
    layer = LayerCache(keys=layer.keys[..., :capacity], values=layer.values[:, :, :capacity])
    spare, whole = (0, capacity - layer.values.shape[2]), (0, 0)
    return LayerCache(
        keys=jnp.pad(layer.keys, (whole, whole, whole, spare)),
        values=jnp.pad(layer.values, (whole, whole, spare, whole)),
    )


def _written(old, new, start):
    return lax.dynamic_update_slice(old, new.astype(old.dtype), start)
