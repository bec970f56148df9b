"""The driver: answers that outgrow the cache they began with, and what that compiles."""

import jax
import numpy as np
import pytest
from small_model import LONG, SHORT, config_of, prepare, quick_compiles, small_model, start

from vreason_jax.decoding.driver import CHUNK, decode_in_chunks, decode_room, first_room, with_room
from vreason_jax.decoding.loop import decode_chunk

TOKENS = 2 * CHUNK + 8
PROMPT = LONG.length


@pytest.fixture(autouse=True)
def quick():
    with quick_compiles():
        yield


def ready(room):
    run = config_of(controller__ema_decay=0.5, controller__learning_rate=0.1)
    prepared = prepare((LONG, SHORT), run, capacity=PROMPT + room)
    return prepared, *start(prepared)


def trace_of(room):
    prepared, *started = ready(room)
    chunks = decode_in_chunks(small_model(), *started, settings=prepared.settings, tokens=TOKENS)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *chunks)


def test_an_answer_that_outgrows_its_cache_goes_on_as_in_a_larger_one():
    decode_chunk.clear_cache()
    whole = trace_of(decode_room(TOKENS))
    grown = trace_of(CHUNK)
    assert decode_chunk._cache_size() == 2, "it grows once, to its whole length"
    assert len(whole.token) == TOKENS and whole.updated.any()
    for ours, theirs in zip(grown, whole, strict=True):
        # Sums over more slots, of which the others are 0, may be ordered otherwise.
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_what_a_grown_cache_replaces_is_freed_and_what_has_room_stays():
    _, _, state, _ = ready(CHUNK)
    assert with_room(state, PROMPT + CHUNK, PROMPT + 96) is state
    grown = with_room(state, PROMPT + CHUNK + 1, PROMPT + 96)
    assert grown.cache.capacity == PROMPT + 96
    assert all(array.is_deleted() for array in jax.tree.leaves(state.cache))


@pytest.mark.parametrize(
    ("prompt", "tokens", "room"),
    [
        (175, 320, 160),  # half of 320 is a third of the cache
        (320, 320, 160),  # a quarter, exactly
        (321, 320, 320),
        (0, 33, 32),  # no half: rooms are whole chunks
        (10_000, 1024, 1024),
        (10, 1, 0),  # the prompt draws the first token
    ],
)
def test_answers_begin_with_half_their_room_where_that_spares_a_quarter(prompt, tokens, room):
    assert first_room(prompt, tokens) == room
