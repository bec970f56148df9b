"""Attention of a piece of a prompt over the cache that it has been written to."""

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from vreason_jax.arrays import Array
from vreason_jax.model.cache import LayerCache
from vreason_jax.model.layers import MASKED

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
        shared = slots[None] < self.shared_end[:, None]
        rest = (slots[None] >= self.rest_start) & (slots[None] < self.rest_end[:, None])
        return shared | rest | (slots[None] >= self.answer_start)


def causal_context(
    query: jax.Array, cache: LayerCache, start: jax.Array, layout: Layout
) -> jax.Array:
    """Returns the context [B, K, G, T, H] float32 of T tokens that stand in the cache.

    Keys are taken block by block up to the last of these tokens, with a running maximum (Dao et
    al. 2022, "FlashAttention", section 3.1): no slot beyond them is read, and no score matrix of
    the cache's length exists.

    Args:
      query: [B, K, G, T, H]. cache: of S slots, those of the T tokens included.
      start: int32, the slot of the first of them; each sees the slots up to its own.
    """
    batch, heads, groups, length, width = query.shape
    capacity = cache.values.shape[2]
    block = min(KEY_BLOCK, capacity)
    chex.assert_is_divisible(capacity, block)
    rows = query.reshape(batch, heads, -1, width)
    own = jnp.tile(start + jnp.arange(length), groups)

    def attend(number, carry):
        largest, total, context = carry
        first = number * block
        keys = lax.dynamic_slice_in_dim(cache.keys, first, block, axis=3)
        values = lax.dynamic_slice_in_dim(cache.values, first, block, axis=2)
        slots = first + jnp.arange(block)
        seen = (slots[None] <= own[:, None])[None] & layout.visible(slots)[:, None]
        scores = jnp.einsum("bkth,bkhs->bkts", rows, keys, preferred_element_type=jnp.float32)
        scores = jnp.where(seen[:, None], scores * width**-0.5, MASKED)
        highest = jnp.maximum(largest, scores.max(axis=-1, keepdims=True))
        weights, fade = jnp.exp(scores - highest), jnp.exp(largest - highest)
        added = jnp.einsum(
            "bkts,bksh->bkth",
            weights.astype(values.dtype),
            values,
            preferred_element_type=jnp.float32,
        )
        total = total * fade + weights.sum(axis=-1, keepdims=True)
        return highest, total, context * fade + added

    shape = (batch, heads, groups * length)
    begin = (
        jnp.full((*shape, 1), MASKED, jnp.float32),
        jnp.zeros((*shape, 1), jnp.float32),
        jnp.zeros((*shape, width), jnp.float32),
    )
    blocks = (start + length + block - 1) // block
    _, total, context = lax.fori_loop(0, blocks, attend, begin)
    return (context / total).reshape(batch, heads, groups, length, width)
