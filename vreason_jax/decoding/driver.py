"""Drives the jitted scan in chunks from Python, so that it streams and stops at the end."""

import functools
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.state import DecodeContext, DecodeSettings, DecodeState, TokenTrace
from vreason_jax.model.cache import KVCache, LayerCache, with_capacity
from vreason_jax.model.qwen25_vl import Qwen25VL

# Tokens a call: enough that the call's own cost (about 1 ms) is lost in it, few enough to stream.
CHUNK = 32


def decode_room(tokens: int) -> int:
    """Returns the cache slots that `tokens` generated tokens take, whole chunks of them."""
    return -(-(tokens - 1) // CHUNK) * CHUNK


def first_room(prompt: int, tokens: int) -> int:
    """Returns the cache slots to begin answers of at most `tokens` tokens with.

    Half of their room where that spares a quarter of the cache, which every step reads whole:
    most answers end well below their limit. `decode_in_chunks` makes room for the others, at the
    cost of compiling for another shape.
    """
    whole = decode_room(tokens)
    half = decode_room(1 + whole // 2)
    return half if 4 * (whole - half) >= prompt + whole else whole


def with_room(state: DecodeState, needed: int, whole: int) -> DecodeState:
    """Returns a state whose cache has `needed` slots: as it is, or grown to `whole`.

    Grows layer by layer and frees what it replaces, so that no second cache needs memory.
    """
    if needed <= state.cache.capacity:
        return state
    body = tuple(_grown(layer, whole) for layer in state.cache.body)
    return state.replace(cache=KVCache(body=body, last=_grown(state.cache.last, whole)))


def decode_in_chunks(
    model: Qwen25VL,
    context: DecodeContext,
    state: DecodeState,
    first: TokenTrace,
    *,
    settings: DecodeSettings,
    tokens: int,
) -> Iterator[TokenTrace]:
    """Yields NumPy traces [some tokens, B] until every row has ended or has `tokens` tokens.

    `first` is the trace [B] of the token that prefill drew. Donates `state`, whose cache may be
    too short for all tokens (`first_room`).
    """
    prompt = int(state.slot)
    trace = jax.tree.map(lambda a: a[None], to_host(first))
    ended = np.zeros(trace.token.shape[1], bool)
    made = 0
    while True:
        yield trace
        made += len(trace.token)
        ended |= np.isin(trace.token, settings.eos_ids).any(axis=0)
        if made >= tokens or ended.all():
            return
        state = with_room(state, prompt + decode_room(made + CHUNK), prompt + decode_room(tokens))
        state, chunk = decode_chunk(model, context, state, settings=settings, steps=CHUNK)
        trace = jax.tree.map(lambda a: a[: tokens - made], to_host(chunk))  # noqa: B023


def text_length(ids: np.ndarray, eos_ids: tuple[int, ...]) -> int:
    """Returns how many tokens of one row [T] come before its end-of-sequence token, if any."""
    ends = np.flatnonzero(np.isin(ids, eos_ids))
    return int(ends[0]) if len(ends) else len(ids)


def to_host(tree):
    """Returns the tree's arrays in NumPy, gathered from all hosts where they are spread."""
    return jax.tree.map(_gather, tree)


def _grown(layer: LayerCache, capacity: int) -> LayerCache:
    grown = _with_capacity(layer.keys, layer.values, capacity)
    jax.tree.map(lambda array: array.delete(), layer)
    return grown


_with_capacity = jax.jit(with_capacity, static_argnums=2)


def _gather(array: jax.Array) -> np.ndarray:
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    # Over the array's own devices: other processes may be busy with other questions.
    sharding = array.sharding
    assert isinstance(sharding, NamedSharding)
    return np.asarray(_gathering(NamedSharding(sharding.mesh, PartitionSpec()))(array))


@functools.cache
def _gathering(sharding: NamedSharding):
    return jax.jit(lambda array: array, out_shardings=sharding)
