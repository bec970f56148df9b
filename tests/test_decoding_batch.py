"""A row of a batch is that row alone: lengths, counts, padding and neighbours change nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import (
    LONG,
    SHORT,
    TEXT,
    Row,
    assert_same_run,
    by_slot,
    config_of,
    decode,
    first_token,
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
    assert set(twice.alpha[:, 0].tolist()) == {-1.0, 1.0}, "a coin for every token"
    other = trace_of((LONG, LONG), sampling__seed=1, **COINS)
    assert (other.token != twice.token).any()


def test_lengthening_the_cache_changes_nothing():
    assert_same_run(trace_of((LONG,), (("capacity", 512),), **COINS), trace_of((LONG,), **COINS))


def test_the_repetition_penalty_counts_no_padding():
    # LONG is padded in this company: its shared part and its rest are the shorter ones.
    longer = Row(grid=(4, 2, 2), after=12, seed=5)
    begun = first_token(start((LONG, longer), config_of(**LIVELY, **COINS)))
    counted = {*LONG.token_ids.tolist(), int(begun.first.token[0, 0])}
    assert 0 not in counted, "token 0 fills the padding"
    assert set(np.flatnonzero(begun.state.seen[0]).tolist()) == counted


def test_what_stands_in_the_padding_disturbs_nothing():
    longer = Row(grid=(4, 2, 2), after=12, seed=5)
    begun = first_token(start((LONG, longer), config_of(**LIVELY)))
    real = np.zeros(256, bool)
    real[: LONG.before + LONG.tokens] = True
    first = longer.before + longer.tokens
    real[first : first + LONG.after - 1] = True
    real[begun.slot - 1 :] = True
    noise = jnp.asarray(np.where(real, 0.0, 30.0), jnp.float32)[:, None]
    cache = by_slot(begun.state.cache, lambda a: a.at[0].add(jnp.broadcast_to(noise, a[0].shape)))
    _, disturbed = decode(begun, jax.tree.map(jnp.copy, begun.state).replace(cache=cache), 12)
    expected = trace_of((LONG,))
    np.testing.assert_array_equal(disturbed.token[:, 0], expected.token[1:, 0])
    np.testing.assert_allclose(disturbed.entropy[:, 0], expected.entropy[1:, 0], rtol=1e-4)


@pytest.mark.parametrize("placement", ["question", "prompt", "answer"])
@pytest.mark.parametrize("row", range(2))
def test_a_random_direction_is_the_rows_own_wherever_it_acts(placement, row):
    changes = {
        "controller__objective": "random_direction",
        "controller__placement": placement,
        "controller__every": 1,
        "controller__recent": 4,
    }
    together = row_of(trace_of((LONG, SHORT), **changes), row)
    assert_same_run(together, trace_of((ROWS[row],), **changes))
