"""Distances of logits on a given reply are those of a plain loop; a control acts on decoding."""

import jax
import numpy as np
import pytest
import scipy.special
from small_model import config_of, quick_compiles

from vreason_jax.decoding import loop
from vreason_jax.engine import Checkpoint, Engine
from vreason_jax.evaluation import comparison
from vreason_jax.evaluation.comparison import Reference, read_in_turn
from vreason_jax.evaluation.setup import Task
from vreason_jax.evaluation.sharing import Asked, SharedReader
from vreason_jax.inputs import as_question

LIVELY = {"controller__ema_decay": 0.5, "controller__learning_rate": 0.3, "controller__every": 2}


@pytest.fixture(autouse=True)
def quick():
    with quick_compiles():
        yield


def run_of(objective, tokens=6, **changes):
    keys = {**LIVELY, "sampling__max_new_tokens": tokens, **changes}
    return config_of(controller__objective=objective, **keys)


NONE, LITE = run_of("none"), run_of("min", tokens=3, prune__fraction=0.5)


@pytest.fixture(scope="module")
def engine(place):
    return Engine(Checkpoint.open(place / "model", NONE), "data=1")


@pytest.fixture(scope="module")
def reader(engine):
    return SharedReader(engine, batch_size=3)


@pytest.fixture(scope="module")
def asked(engine):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (4, 28, 56, 3), np.uint8)
    prepare = engine.checkpoint.prepare
    words = ("Why?", "Which thing moves?")
    return [Asked(prepare(as_question((frames, 2.0), text)), "clip", text) for text in words]


@pytest.fixture(scope="module")
def batch(reader, asked):
    with quick_compiles():
        return reader.read(asked)


def logits_in_turn(reader, batch, run, ids):
    """float64 [T - 1, V] of the first row, one jitted step a token."""
    started = reader.begin(batch, run, 0, tokens=len(ids))
    step = jax.jit(loop.next_logits, static_argnums=3)
    state, found = started.state, []
    for token in ids[:-1]:
        state = state.replace(token=np.full_like(state.token, token))
        state, logits, controller, _ = step(reader.model, started.context, state, started.settings)
        state = state.replace(step=state.step + 1, controller=controller)
        found.append(np.asarray(logits[0], np.float64))
    return np.array(found)


def test_distances_are_those_of_a_plain_loop(reader, batch):
    replies = reader.answer(batch, NONE, 0)
    (got, _) = read_in_turn(reader, batch, replies, NONE, LITE, 0)
    ids = replies[0].token_ids
    first, other = (logits_in_turn(reader, batch, run, ids) for run in (NONE, LITE))
    p, q = scipy.special.log_softmax(first, -1), scipy.special.log_softmax(other, -1)
    assert len(first) == len(ids) - 1 > 1
    expected = (
        np.abs(other - first).mean(-1).sum() / len(ids),
        (np.exp(p) * (p - q)).sum() / len(ids),
    )
    assert min(expected) > 1e-3
    np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_a_method_is_at_no_distance_from_itself(reader, batch):
    run = run_of("switch", sampling__temperature=1.0)
    replies = reader.answer(batch, run, 5)
    assert read_in_turn(reader, batch, replies, run, run, 5) == [(0.0, 0.0)] * 2
    assert all(d.kl > 0 for d in read_in_turn(reader, batch, replies, run, NONE, 5))


def test_replies_of_any_length_and_number_share_one_program(reader, batch, asked):
    long = run_of("none", tokens=40)  # two chunks
    replies = reader.answer(batch, long, 0)
    read_in_turn(reader, batch, replies, long, run_of("max", tokens=40), 0)
    compiled = comparison._read_chunk._cache_size()
    alone = reader.read(asked[1:])
    (short,) = reader.answer(alone, long, 0)
    strong = run_of("max", tokens=40, controller__learning_rate=0.01)
    read_in_turn(reader, alone, [short], long, strong, 0)
    assert comparison._read_chunk._cache_size() == compiled


def test_the_first_method_is_compared_with_by_seed_and_decoded_again_if_need_be(reader, batch):
    first, other, unpaired = (
        Task(name, seed, run, "")
        for name, seed, run in (("a", 0, NONE), ("b", 0, LITE), ("b", 1, LITE))
    )
    given, anew = (Reference(reader, batch, [first, other, unpaired]) for _ in range(2))
    given.keep(first, reader.answer(batch, NONE, 0))
    assert given.distances(first) is given.distances(unpaired) is None
    assert given.distances(other) == anew.distances(other) is not None


@pytest.mark.parametrize("run", [NONE, LITE], ids=["none", "lite"])
def test_without_the_last_values_decoding_reads_zeros_there_and_only_there(engine, asked, run):
    readers = [SharedReader(engine, batch_size=2, last_values=kept) for kept in (True, False)]
    whole, blind = (reader.begin(reader.read(asked), run, 0) for reader in readers)
    before, after = (np.asarray(s.state.cache.last.values) for s in (whole, blind))
    zeroed = (after == 0).all(-1) & (before != 0).any(-1)
    # Pruned or not, each head loses its video, all of it: what is kept of the clip's tokens.
    videos = np.array([row.prepared.video_tokens for row in readers[0].read(asked).rows])
    kept = videos - np.asarray(videos * run.prune.fraction, int)
    np.testing.assert_array_equal(zeroed.sum(-1), np.broadcast_to(kept[:, None], zeroed.shape[:2]))
    np.testing.assert_array_equal(after[~zeroed], before[~zeroed])
    for ours, theirs in zip(whole.state.cache.body, blind.state.cache.body, strict=True):
        np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(whole.first.entropy, blind.first.entropy)
    one, two = (r.answer(r.read(asked), run, 0) for r in readers)
    assert (one[0].trace.entropy[1:3] != two[0].trace.entropy[1:3]).all()
