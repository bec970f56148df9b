"""A prompt read in two parts is that prompt read at once, slot for slot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import VOCABULARY, Row, config_of, prepare, quick_compiles, small_model

from vreason_jax.decoding.reading import read_prefix, read_prompt, read_rest

# One clip's grid, questions of 3, 9 and 5 tokens: prompts of 19, 25 and 21.
ROWS = tuple(Row(after=after, seed=seed) for after, seed in ((3, 1), (9, 2), (5, 3)))
PREFIX = ROWS[0].before + ROWS[0].tokens
PAD = 4  # more than the longest needs


@pytest.fixture(scope="module")
def batch():
    return prepare(ROWS, config_of(), pad=PAD)


@pytest.fixture(scope="module")
def at_once(batch):
    inputs = batch.batch
    with quick_compiles():
        return read_prompt(
            small_model(),
            inputs.token_ids,
            inputs.positions,
            inputs.starts,
            batch.media,
            inputs.media_slots,
        )


@pytest.fixture(scope="module")
def prefix():
    """The three prefixes, each read alone, stacked."""
    alone = [read_alone(row) for row in ROWS]
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), *alone)


def read_alone(row):
    inputs = prepare((row,), config_of()).batch
    with quick_compiles():
        return read_prefix(
            small_model(),
            inputs.token_ids[:, :PREFIX],
            inputs.positions[:, :, :PREFIX],
            [jnp.asarray(row.video)],
            inputs.media_slots,
        )


def read_rests(prefix, batch, token_ids=None):
    inputs = batch.batch
    token_ids = inputs.token_ids if token_ids is None else token_ids
    with quick_compiles():
        return read_rest(
            small_model(),
            prefix,
            token_ids[:, PREFIX:],
            inputs.positions[:, :, PREFIX:],
            inputs.starts,
        )


def assert_same(got, expected, starts):
    # float32: the same sums in another order, on numbers of about 3 and logits of about 5.
    np.testing.assert_allclose(got.logits, expected.logits, atol=2e-5)
    for ours, theirs in zip(got.layers, expected.layers, strict=True):
        assert ours.keys.shape == theirs.keys.shape
        for row, start in enumerate(starts.tolist()):
            for name in ("keys", "values"):
                pair = (np.asarray(getattr(of, name))[row, :, start:] for of in (ours, theirs))
                np.testing.assert_allclose(*pair, atol=2e-5, err_msg=f"{name} of row {row}")


def test_prefix_and_rest_are_the_prompt_read_at_once(batch, at_once, prefix):
    assert batch.batch.starts.tolist() == [10, 4, 8]
    assert_same(read_rests(prefix, batch), at_once, batch.batch.starts)


def test_what_stands_in_the_padding_disturbs_nothing(batch, at_once, prefix):
    rng = np.random.default_rng(0)
    ids = np.array(batch.batch.token_ids)
    for row, start in enumerate(batch.batch.starts.tolist()):
        ids[row, PREFIX : PREFIX + start] = rng.integers(0, VOCABULARY, start)
    assert_same(read_rests(prefix, batch, jnp.asarray(ids)), at_once, batch.batch.starts)


def test_the_prefix_matters(batch, at_once, prefix):
    other = jax.tree.map(lambda a: a[::-1], prefix)
    assert np.abs(read_rests(other, batch).logits[0] - at_once.logits[0]).max() > 0.1
