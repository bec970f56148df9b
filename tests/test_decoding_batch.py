"""A row of a batch is that row alone: lengths, counts, padding and neighbours change nothing."""

import functools

import numpy as np
import pytest
from small_model import (
    LONG,
    SHORT,
    TEXT,
    Row,
    assert_same_run,
    config_of,
    decode,
    prepare,
    row_of,
    run,
    start,
)

# A short average and a large learning rate, so that a leak between rows would be seen.
LIVELY = {"controller__ema_decay": 0.5, "controller__learning_rate": 0.1}
ROWS = (LONG, SHORT, TEXT)
TWIN = Row(seed=4)  # another prompt and video of the size of LONG


@functools.cache
def trace_of(rows, padding=(), **changes):
    return run(rows, config_of(**{**LIVELY, **changes}), **dict(padding))


@pytest.mark.parametrize("row", range(3))
def test_a_row_of_a_batch_is_that_row_alone(row):
    together = row_of(trace_of(ROWS), row)
    assert_same_run(together, trace_of((ROWS[row],)))
    assert together.updated[4, 0] == (ROWS[row] is not TEXT)


# Everything that draws by chance, and every way to drop tokens that looks at frames or keys.
DIRECTION = {
    "controller__objective": "random_direction",
    "prune__fraction": 0.5,
    "prune__policy": "per_frame",
    "sampling__temperature": 1.0,
}
COINS = {
    "controller__objective": "random",
    "prune__fraction": 0.5,
    "prune__policy": "random",
    "sampling__temperature": 1.0,
    "sampling__repetition_penalty": 1.5,
}


@pytest.mark.parametrize("row", range(2))
def test_a_pruned_and_sampled_row_of_a_batch_is_that_row_alone(row):
    together = row_of(trace_of((LONG, SHORT), **DIRECTION), row)
    assert_same_run(together, trace_of((ROWS[row],), **DIRECTION))


@pytest.mark.parametrize("row", range(2))
def test_chance_does_not_depend_on_the_place_in_the_batch(row):
    twins = (TWIN, LONG)
    assert_same_run(row_of(trace_of(twins, **COINS), row), trace_of((twins[row],), **COINS))


def test_the_same_question_twice_gives_the_same_answer_and_another_seed_another():
    twice = trace_of((LONG, LONG), **COINS)
    np.testing.assert_array_equal(twice.token[:, 0], twice.token[:, 1])
    other = trace_of((LONG, LONG), sampling__seed=1, **COINS)
    assert (other.token != twice.token).any()


def test_padding_a_prompt_or_lengthening_the_cache_changes_nothing():
    padding = (("pad", 3), ("pad_video", 2), ("capacity", 80))
    assert_same_run(trace_of((LONG,), padding, **COINS), trace_of((LONG,), **COINS))


def test_the_repetition_penalty_counts_no_padding():
    ready = prepare((LONG,), config_of(**LIVELY, **COINS), pad=3, pad_video=2, capacity=80)
    _, state, first = start(ready)
    counted = {*LONG.token_ids.tolist(), int(first.token[0])}
    assert 0 not in counted, "token 0 fills the padding"
    assert set(np.flatnonzero(state.seen[0]).tolist()) == counted


def test_a_row_that_draws_an_end_token_is_done_and_disturbs_no_neighbour():
    free = trace_of(ROWS)
    end = int(free.token[2, 1])
    ready = prepare(ROWS, config_of(**LIVELY), eos_ids=(77, end))
    context, state, _ = start(ready)
    state, trace = decode(ready, context, state, 12)
    np.testing.assert_array_equal(state.done, (free.token == end).any(axis=0))
    assert state.done[1] and not state.done.all()
    np.testing.assert_array_equal(trace.token, free.token[1:])  # end tokens are reported too
    np.testing.assert_allclose(trace.entropy, free.entropy[1:], rtol=1e-5)
