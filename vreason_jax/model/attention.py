"""Attention of a piece of a prompt over the cache that it has been written to."""

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jax.sharding import Mesh

from vreason_jax.arrays import Array
from vreason_jax.model.cache import LayerCache
from vreason_jax.model.flash_attention import Running, flash_context, held, serves

# Keys that a piece of a prompt attends to at a time: the scores of more would fill the memory.
KEY_BLOCK = 256


class Layout(struct.PyTreeNode):
    """Which cache slots hold a prompt's tokens; the others are padding and are never attended to.

    Rows begin at slot 0. What they share with other questions stands there, the rest of every row
    begins at one slot, and so do the answers.
    """

    shared_end: Array  # [B] int32, the slot behind the shared part
    rest_start: Array  # [] int32
    rest_end: Array  # [B] int32
    answer_start: Array  # [] int32

    def visible(self, slots: jax.Array) -> jax.Array:
        """Returns [B, S] bool for slots [S]: those of prompts, and all from the answers' on."""
        shared_end, rest_end = self.shared_end[:, None], self.rest_end[:, None]
        return held(slots[None], shared_end, self.rest_start, rest_end, self.answer_start)

    def bounds(self, start: jax.Array) -> jax.Array:
        """Returns [B, 5] int32: `start` and then each row's bounds, in order."""
        parts = (start, self.shared_end, self.rest_start, self.rest_end, self.answer_start)
        rows = [jnp.broadcast_to(part, self.rest_end.shape) for part in parts]
        return jnp.stack(rows, axis=1).astype(jnp.int32)


def causal_context(
    query: jax.Array,
    cache: LayerCache,
    start: jax.Array,
    layout: Layout,
    mesh: Mesh | None = None,
) -> jax.Array:
    """Returns the context [B, K, G, T, H] of T tokens that stand in the cache, in query's dtype.

    Keys are taken block by block up to the last of these tokens, with a running maximum: no slot
    beyond them is read, and no score matrix of the cache's length exists.

    Args:
      query: [B, K, G, T, H]. cache: of S slots, those of the T tokens included.
      start: int32, the slot of the first of them; each sees the slots up to its own.
      mesh: that they lie on. Without one there is no kernel.
    """
    batch, heads, groups, length, width = query.shape
    capacity = cache.values.shape[2]
    if mesh is not None and serves(mesh, query, capacity):
        return flash_context(query, cache, layout.bounds(start), mesh)
    block = min(KEY_BLOCK, capacity)
    chex.assert_is_divisible(capacity, block)
    rows = query.reshape(batch, heads, -1, width)
    own = jnp.tile(start + jnp.arange(length), groups)

    def attend(number, running):
        first = number * block
        keys = lax.dynamic_slice_in_dim(cache.keys, first, block, axis=3)
        values = lax.dynamic_slice_in_dim(cache.values, first, block, axis=2)
        slots = first + jnp.arange(block)
        seen = (slots[None] <= own[:, None])[None] & layout.visible(slots)[:, None]
        return running.over(rows, keys, values, seen[:, None])

    blocks = (start + length + block - 1) // block
    running = lax.fori_loop(0, blocks, attend, Running.empty(rows.shape))
    return (running.context / running.total).astype(query.dtype).reshape(query.shape)
