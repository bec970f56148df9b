"""Attention over the cache: of a piece of a prompt that stands in it, or of one token beside it."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jax.sharding import Mesh

from vreason_jax.arrays import Array
from vreason_jax.model import kernels
from vreason_jax.model.cache import LayerCache

# Most keys that a piece of a prompt attends to at a time: the scores of more would fill the memory.
KEY_BLOCK = 256
MASKED = -1e30  # finite, so that a fully masked row gives numbers and not NaN


def held(slots, shared_end, rest_start, rest_end, answer_start):
    """Returns whether slots hold a prompt's tokens or an answer's (see `Layout`)."""
    rest = (slots >= rest_start) & (slots < rest_end)
    return (slots < shared_end) | rest | (slots >= answer_start)


class Running(NamedTuple):
    """What T queries have of the slots so far, float32."""

    largest: jax.Array  # [..., T, 1], of the scores
    total: jax.Array  # [..., T, 1], of the weights
    context: jax.Array  # [..., T, H], not yet divided by the total

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "Running":
        """Returns attention over no slots, for queries of `shape` [..., T, H]."""
        column = (*shape[:-1], 1)
        largest, total = jnp.full(column, MASKED, jnp.float32), jnp.zeros(column, jnp.float32)
        return cls(largest, total, jnp.zeros(shape, jnp.float32))

    def over(self, query: jax.Array, keys: jax.Array, values: jax.Array, seen: jax.Array):
        """Returns it with more slots: keys [..., H, S], values [..., S, H], seen [..., T, S]."""
        # Narrow products are exact; of wide ones a matrix unit would round the factors.
        precision = "highest" if query.dtype == jnp.float32 else "default"
        product = functools.partial(
            jnp.matmul, precision=precision, preferred_element_type=jnp.float32
        )
        scores = jnp.where(seen, product(query, keys) * query.shape[-1] ** -0.5, MASKED)
        largest = jnp.maximum(self.largest, jnp.max(scores, axis=-1, keepdims=True))
        weights, fade = jnp.exp(scores - largest), jnp.exp(self.largest - largest)
        total = self.total * fade + jnp.sum(weights, axis=-1, keepdims=True)
        added = product(weights.astype(values.dtype), values)
        return Running(largest, total, self.context * fade + added)


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
    if mesh is not None and kernels.read_pieces(mesh, query, capacity):
        from vreason_jax.model.flash_attention import flash_context

        return flash_context(query, cache, layout.bounds(start), mesh)
    block = math.gcd(KEY_BLOCK, capacity)
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
