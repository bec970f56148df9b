"""Drives the jitted scan in chunks from Python, so that it streams and stops at the end."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np

from vreason_jax.decoding import ladder
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.reading import resized
from vreason_jax.decoding.state import (
    DecodeContext,
    DecodeSettings,
    DecodeState,
    TokenTrace,
    to_host,
)
from vreason_jax.model.decoder import Decoder

# `decode_chunk` of settings and steps, compiled for a state.
Program = Callable[[Decoder, DecodeContext, DecodeState], tuple[DecodeState, TokenTrace]]


@dataclasses.dataclass
class Started:
    """Answers on their way; decoding uses them up."""

    context: DecodeContext
    state: DecodeState
    settings: DecodeSettings
    slot: int  # of the cache, that the next token fed goes to
    first: TokenTrace | None = None  # [1, B], where a first token has been drawn already


def decode_in_chunks(
    decoder: Decoder,
    started: Started,
    *,
    tokens: int,
    eos_ids: tuple[int, ...] = (),
    program: Program | None = None,
) -> Iterator[TokenTrace]:
    """Yields NumPy traces [some tokens, B] until every row has ended or has `tokens` tokens.

    A row ends with an end-of-sequence token, or with a token whose entropy or log-probability is
    not finite: nothing after it means anything. Uses `started` up. A `program` that is compiled
    serves until the cache grows.
    """
    state, made, ended = started.state, 0, np.zeros(len(started.state.token), bool)
    if started.first is not None:
        trace = to_host(started.first)
        yield trace
        made, ended = 1, _ends(trace, eos_ids).any(axis=0)
    begin = started.slot - made
    while made < tokens and not ended.all():
        capacity = state.cache.capacity
        state = with_room(state, begin, made + ladder.DECODE_CHUNK, tokens, started)
        if program is None or state.cache.capacity > capacity:
            program = functools.partial(
                decode_chunk, settings=started.settings, steps=ladder.DECODE_CHUNK
            )
        state, chunk = program(decoder, started.context, state)
        trace = jax.tree.map(lambda a: a[: tokens - made], to_host(chunk))  # noqa: B023
        yield trace
        made += len(trace.token)
        ended |= _ends(trace, eos_ids).any(axis=0)


def after_first_token(decoder: Decoder, started: Started) -> Started:
    """Returns the answers after their first token; uses `started` up."""
    if started.first is not None:
        return started
    state, first = decode_chunk(
        decoder, started.context, started.state, settings=started.settings, steps=1
    )
    return dataclasses.replace(started, state=state, first=first, slot=started.slot + 1)


def with_room(
    state: DecodeState, begin: int, made: int, tokens: int, started: Started
) -> DecodeState:
    """Returns a state with slots for `made` tokens from `begin` on, in steps of the ladder.

    Of answers of at most `tokens` tokens: a cache that is too short grows to hold them all.
    """
    if begin + made <= state.cache.capacity:
        return state
    capacity = ladder.capacity(begin + 1 + ladder.decode_room(tokens), len(state.token))
    return state.replace(cache=resized(state.cache, capacity, started.settings.mesh, free=True))


def text_length(trace: TokenTrace, eos_ids: tuple[int, ...]) -> int:
    """Returns how many tokens of one row [T] come before its end, if it has one."""
    ends = np.flatnonzero(_ends(trace, eos_ids))
    return int(ends[0]) if len(ends) else len(trace.token)


def _ends(trace: TokenTrace, eos_ids: tuple[int, ...]) -> np.ndarray:
    finite = np.isfinite(trace.entropy) & np.isfinite(trace.logprob)
    return np.isin(trace.token, eos_ids) | ~finite
