"""Distances of logits on a given reply are those of a plain loop; a control acts on decoding."""

import jax
import numpy as np
import pytest
import scipy.special
from small_model import config_of

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.decoding import loop
from vreason_jax.decoding.driver import after_first_token
from vreason_jax.engine.engine import Engine
from vreason_jax.evaluation.running import comparison
from vreason_jax.evaluation.running.comparison import Reference, read_in_turn
from vreason_jax.evaluation.running.methods import with_seed
from vreason_jax.evaluation.running.setup import Task
from vreason_jax.questions import as_question

LIVELY = {"controller__ema_decay": 0.5, "controller__learning_rate": 0.3, "controller__every": 2}


def run_of(objective, tokens=6, **changes):
    keys = {**LIVELY, "sampling__max_new_tokens": tokens, **changes}
    return config_of(controller__objective=objective, **keys)


NONE, LITE = run_of("none"), run_of("min", tokens=3, prune__fraction=0.5)


@pytest.fixture(scope="module")
def engine(place):
    return Engine.load(Checkpoint.open(place / "model"), NONE.model, "data=1", batch_size=3)


@pytest.fixture(scope="module")
def questions(engine):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (4, 28, 56, 3), np.uint8)
    words = ("Why?", "Which thing moves?")
    return [engine.checkpoint.prepare(as_question((frames, 2.0), text), NONE) for text in words]


@pytest.fixture(scope="module")
def batch(engine, questions):
    return engine.read(questions, 40)


def logits_in_turn(engine, batch, run, ids):
    """float64 [T - 1, V] of the first row, one jitted step a token."""
    started = after_first_token(engine.model.decoder, engine.start(batch, run))
    step = jax.jit(loop.next_logits, static_argnums=3)
    state, found = started.state, []
    for token in ids[:-1]:
        state = state.replace(token=np.full(state.token.shape, token, np.int32))
        state, logits, _ = step(engine.model.decoder, started.context, state, started.settings)
        state = state.replace(step=state.step + 1)
        found.append(np.asarray(logits[0], np.float64))
    return np.array(found)


def test_distances_are_those_of_a_plain_loop(engine, batch):
    given = engine.answer(batch, NONE)
    (got, _) = read_in_turn(engine, batch, given, NONE, LITE)
    ids = given[0].tokens.token
    first, other = (logits_in_turn(engine, batch, run, ids) for run in (NONE, LITE))
    p, q = scipy.special.log_softmax(first, -1), scipy.special.log_softmax(other, -1)
    assert len(first) == len(ids) - 1 > 1
    expected = (
        np.abs(other - first).mean(-1).sum() / len(ids),
        (np.exp(p) * (p - q)).sum() / len(ids),
    )
    assert min(expected) > 1e-3
    np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_a_method_is_at_no_distance_from_itself(engine, batch):
    run = run_of("switch", sampling__temperature=1.0, sampling__seed=5)
    given = engine.answer(batch, run)
    # Two programs, each of which may round its sums otherwise: logits are near 1.
    for distance in read_in_turn(engine, batch, given, run, run):
        assert distance.delta_logit < 1e-5 and abs(distance.kl) < 1e-8
    assert all(d.kl > 0 for d in read_in_turn(engine, batch, given, run, NONE))


def test_answers_of_any_length_and_number_share_one_program(engine, batch, questions):
    long = run_of("none", tokens=40)  # two chunks
    given = engine.answer(batch, long)
    read_in_turn(engine, batch, given, long, run_of("max", tokens=40))
    compiled = comparison._read_chunk._cache_size()
    alone = engine.read(questions[1:], 40)
    (short,) = engine.answer(alone, long)
    strong = run_of("max", tokens=40, controller__learning_rate=0.01)
    read_in_turn(engine, alone, [short], long, strong)
    assert comparison._read_chunk._cache_size() == compiled


def test_the_first_method_is_compared_with_by_seed_and_decoded_again_if_need_be(engine, batch):
    first, other, unpaired = (
        Task(name, seed, with_seed(run, seed), "")
        for name, seed, run in (("a", 0, NONE), ("b", 0, LITE), ("b", 1, LITE))
    )
    given, anew = (Reference(engine, batch, [first, other, unpaired]) for _ in range(2))
    given.keep(first, engine.answer(batch, NONE))
    assert given.distances(first) is given.distances(unpaired) is None
    assert given.distances(other) == anew.distances(other) is not None


@pytest.mark.parametrize("run", [NONE, LITE], ids=["none", "lite"])
def test_without_the_last_values_decoding_reads_zeros_there_and_only_there(engine, questions, run):
    blinded = Engine(engine.checkpoint, engine.model, engine.mesh, batch_size=2, hide_video=True)
    seeing = Engine(engine.checkpoint, engine.model, engine.mesh, batch_size=2)
    whole, blind = (
        after_first_token(e.model.decoder, e.start(e.read(questions, 40), run))
        for e in (seeing, blinded)
    )
    before, after = (np.asarray(s.state.cache.last.values)[:, :, : s.slot] for s in (whole, blind))
    zeroed = (after == 0).all(-1) & (before != 0).any(-1)
    # Pruned or not, each head loses its video, all of it: what is kept of the clip's tokens.
    videos = np.array([question.video_tokens for question in questions])
    kept = videos - np.asarray(videos * run.prune.fraction, int)
    np.testing.assert_array_equal(zeroed.sum(-1), np.broadcast_to(kept[:, None], zeroed.shape[:2]))
    np.testing.assert_array_equal(after[~zeroed], before[~zeroed])
    for ours, theirs in zip(whole.state.cache.body, blind.state.cache.body, strict=True):
        np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(whole.first.entropy, blind.first.entropy)
    one, two = (e.answer(e.read(questions, 40), run) for e in (seeing, blinded))
    assert (one[0].tokens.entropy[1:3] != two[0].tokens.entropy[1:3]).all()
