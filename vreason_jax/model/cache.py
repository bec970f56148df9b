"""The functional key/value cache: written once in prefill, one slot a token in decoding."""

import chex
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


def continued(
    before: LayerCache, keys: jax.Array, values: jax.Array, starts: jax.Array
) -> LayerCache:
    """Returns the keys and values of prompts whose first P tokens were read earlier.

    Rows end at the last of the P + T slots, as if padded on the left and read at once: row b's
    first tokens move up to its own, and its `starts[b]` padded ones go to the front.

    Args:
      before: [B, K, P, H], without padding.
      keys, values: [B, K, T, H] of the tokens that follow, padded on the left.
      starts: [B] int32, the first real slot of each row.
    """
    chex.assert_equal_shape([keys, values])
    chex.assert_shape(starts, keys.shape[:1])
    first = before.keys.shape[2]
    slots, start = jnp.arange(first + keys.shape[2])[None], starts[:, None]
    moved = jnp.where(slots < start, slots + first, slots - start)
    source = jnp.where(slots < start + first, moved, slots)[:, None, :, None]

    def joined(old, new):
        return jnp.take_along_axis(jnp.concatenate([old, new], axis=2), source, axis=2)

    return LayerCache(keys=joined(before.keys, keys), values=joined(before.values, values))


def with_capacity(keys: jax.Array, values: jax.Array, capacity: int) -> LayerCache:
    """Returns a LayerCache of `capacity` slots that begins with keys and values [B, K, S, H]."""
    chex.assert_equal_shape([keys, values])
    grow = ((0, 0), (0, 0), (0, capacity - keys.shape[2]), (0, 0))
    return LayerCache(keys=jnp.pad(keys, grow), values=jnp.pad(values, grow))
