"""The driver: where answers end, and those that outgrow the cache they began with."""

import jax
import numpy as np
import pytest
from small_model import LONG, SHORT, config_of, small_model, start

from vreason_jax.decoding.driver import decode_in_chunks, text_length, with_room
from vreason_jax.decoding.ladder import DECODE_CHUNK
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.state import TokenTrace

CONFIG = config_of(controller__ema_decay=0.5, controller__learning_rate=0.1)


def trace_of(capacity=256, tokens=60, eos_ids=(), config=CONFIG):
    started = start((LONG, SHORT), config, capacity=capacity)
    chunks = decode_in_chunks(small_model().decoder, started, tokens=tokens, eos_ids=eos_ids)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *chunks)


def test_an_answer_that_outgrows_its_cache_goes_on_as_in_a_larger_one():
    tokens = 128 + 8
    decode_chunk.clear_cache()
    grown = trace_of(128, tokens)
    assert decode_chunk._cache_size() == 2, "it grows once, to its whole length"
    whole = trace_of(256, tokens)
    assert len(whole.token) == tokens and whole.updated.any()
    for ours, theirs in zip(grown, whole, strict=True):
        # Sums over more slots, of which the others are 0, may be ordered otherwise.
        np.testing.assert_allclose(ours[:64], theirs[:64], rtol=1e-4, atol=1e-5)


def test_what_a_grown_cache_replaces_is_freed_and_what_has_room_stays():
    started = start((LONG,), CONFIG)
    state = started.state
    assert with_room(state, started.slot, 200, 300, started) is state
    grown = with_room(state, started.slot, 256, 300, started)
    assert grown.cache.capacity == 512
    assert all(array.is_deleted() for array in jax.tree.leaves(state.cache))


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_answers_have_as_many_tokens_as_asked_or_end_with_their_end_token(fraction):
    config = config_of(prune__fraction=fraction)
    free = trace_of(config=config)
    assert free.token.shape == (60, 2)
    for tokens in (1, 2, DECODE_CHUNK, DECODE_CHUNK + 1):
        few = trace_of(tokens=tokens, config=config)
        np.testing.assert_array_equal(few.token, free.token[:tokens])
    ends = tuple({int(free.token[3, row]) for row in range(2)})
    short = trace_of(eos_ids=ends, config=config)
    assert len(short.token) < 60
    for row in range(2):
        length = text_length(TokenTrace(*(a[:, row] for a in short)), ends)
        np.testing.assert_array_equal(short.token[:length, row], free.token[:length, row])
        assert short.token[length, row] in ends and length <= 3


def test_a_token_that_is_not_finite_ends_its_row():
    numbers = np.ones(5, np.float32)
    trace = TokenTrace(np.arange(5), *[numbers] * 9)
    assert text_length(trace, ()) == 5
    for name in ("entropy", "logprob"):
        for value in (np.nan, np.inf, -np.inf):
            broken = np.array([1, 1, value, 1, 1], np.float32)
            assert text_length(trace._replace(**{name: broken}), ()) == 2
    assert text_length(trace, (1,)) == 1
