"""Where the delta acts: a decode step up to there, and the rest of it as a function of the delta.

The loop is given a placement and never asks which: another placement is another class here.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from vreason_jax.arrays import Array
from vreason_jax.decoding import ladder
from vreason_jax.model.cache import KVCache
from vreason_jax.model.config import TextConfig
from vreason_jax.model.decoder import Decoder, Rotation


class Target(struct.PyTreeNode):
    """What a batch's answers are steered at; the same for a whole answer."""

    mask: Array  # [B, K, M] bool, which of the places that a delta has it acts on
    start: Array | None = None  # int32, the cache slot of the first place; None: the cache's first


class Fed(NamedTuple):
    """One token of every row, on its way into the decoder."""

    x: jax.Array  # [B, 1, D]
    rotation: Rotation
    slot: jax.Array  # int32, where its keys and values go
    mask: jax.Array  # [B, S] bool, the slots before it that it attends to


class Step(NamedTuple):
    """A decode step up to where the delta acts."""

    tail: Callable[[jax.Array], jax.Array]  # logits [B, V] under a shift V_new - V [B, K, M, H]
    values: Callable[[], jax.Array]  # V [B, K, M, H], each head once
    cache: KVCache  # with the token in it


class Placement(Protocol):
    """Where the delta acts. Equal placements share their programs."""

    def target(self, mask: np.ndarray) -> Target:
        """Returns the target of a batch, of the slots [B, K, S] bool that are to be steered."""
        ...

    def sizes(self, target: Target, text: TextConfig) -> tuple[int, int, int, int]:
        """Returns K, M and H of a row's delta, and how often each of the K heads is seen."""
        ...

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the step of one token."""
        ...


@dataclasses.dataclass(frozen=True)
class Nowhere:
    """Plain decoding: there is no delta."""

    def target(self, mask: np.ndarray) -> Target:
        """Returns a target without places."""
        return Target(mask[..., :0])

    def sizes(self, target: Target, text: TextConfig) -> tuple[int, int, int, int]:
        """Returns the sizes of a delta without places."""
        return _value_sizes(target, text)

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns a step whose tail does not look at its argument."""
        hidden, _, plain, cache = last_attention(decoder, cache, fed)
        nothing = jnp.zeros((*target.mask.shape, plain.shape[-1]), cache.last.values.dtype)
        return Step(lambda shift: decoder.last_logits(hidden, plain), lambda: nothing, cache)


@dataclasses.dataclass(frozen=True)
class LastValues:
    """The last layer's values of the prompt's tokens.

    The places are cache slots: the first ones of the cache, or where `window` is set those from the
    first steered one on, which spares what stands before it.
    """

    window: bool = False

    def target(self, mask: np.ndarray) -> Target:
        """Returns the slots up to the last that is steered, as many as the ladder has."""
        chosen = np.flatnonzero(mask.any(axis=(0, 1)))
        first = int(chosen[0]) if self.window else 0
        capacity = mask.shape[2]
        length = min(ladder.steered(int(chosen.max(initial=0)) + 1 - first), capacity)
        first = min(first, capacity - length)
        start = np.int32(first) if self.window else None
        return Target(mask[..., first : first + length], start)

    def sizes(self, target: Target, text: TextConfig) -> tuple[int, int, int, int]:
        """Returns K, M and H of the cache, and how often each head lies in it."""
        return _value_sizes(target, text)

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the step up to the last layer's context without a delta."""
        hidden, weights, plain, cache = last_attention(decoder, cache, fed)

        def values():
            heads = cache.last.values[:, :: decoder.config.kv_repeats]
            return _slots(heads, target, axis=2)

        def tail(shift):
            seen = _slots(weights, target, axis=3)
            return decoder.last_logits(hidden, plain + value_context(seen, shift))

        return Step(tail, values, cache)


def last_attention(
    decoder: Decoder, cache: KVCache, fed: Fed
) -> tuple[jax.Array, jax.Array, jax.Array, KVCache]:
    """Returns the last layer's input, its weights and context without delta, and the cache.

    See `Decoder.body_step` and `Decoder.last_step`.
    """
    hidden, cache = decoder.body_step(fed.x, fed.rotation, cache, fed.slot, fed.mask)
    with jax.named_scope("last_layer"):
        weights, plain, cache = decoder.last_step(hidden, fed.rotation, cache, fed.slot, fed.mask)
    return hidden, weights, plain, cache


def value_context(weights: jax.Array, shift: jax.Array) -> jax.Array:
    """Returns what a shift [B, K, M, H] adds to a layer's context: [B, K, G, 1, H].

    `weights` [B, K, G, M] are the attention's at the places of the shift. Of heads that lie in the
    cache several times the shift is given once, or as often.
    """
    shift = jnp.repeat(shift, weights.shape[1] // shift.shape[1], axis=1)
    # Small numbers that matrix units would round to bfloat16 unless told otherwise.
    return jnp.einsum("bkgm,bkmh->bkgh", weights, shift, precision="highest")[..., None, :]


def _slots(array: jax.Array, target: Target, axis: int) -> jax.Array:
    """Of an axis over the cache's slots, the target's."""
    length = target.mask.shape[2]
    if target.start is None:
        return jax.lax.slice_in_dim(array, 0, length, axis=axis)
    return jax.lax.dynamic_slice_in_dim(array, target.start, length, axis=axis)


def _value_sizes(target: Target, text: TextConfig) -> tuple[int, int, int, int]:
    _, heads, places = target.mask.shape
    return heads, places, text.head_width, text.kv_repeats
