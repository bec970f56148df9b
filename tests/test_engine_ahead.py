"""What is compiled beside reading decodes as what is compiled when it is called."""

import jax
import numpy as np
import pytest
from answer_checks import assert_same_answers
from small_model import config_of

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.engine.ahead import DecodingAhead
from vreason_jax.engine.asking import Asking
from vreason_jax.engine.engine import Engine
from vreason_jax.errors import UserError
from vreason_jax.questions import as_question

CLIP = np.random.default_rng(3).integers(0, 256, (6, 56, 84, 3), np.uint8), 2.0


def run_of(tokens=40, **changes):
    return config_of(controller__learning_rate=0.1, sampling__max_new_tokens=tokens, **changes)


def asked(place, run, *, first, mesh="data=1"):
    checkpoint = Checkpoint.open(place / "model")
    engine = Engine.load(checkpoint, run.model, mesh)
    question = checkpoint.prepare(as_question(CLIP, "Why?"), run)
    (answer,) = Asking(engine, run, [question], first=first, ignore_eos=True).finish()
    return answer


# A long answer's cache grows, for a program that is compiled when it is called.
@pytest.mark.parametrize(("mesh", "tokens", "programs"), [("data=1", 600, 2), ("model=2", 40, 1)])
def test_it_answers_alike_and_is_counted_as_compiled(place, mesh, tokens, programs):
    sizes, answers = [], []
    for first in (False, True):
        decode_chunk.clear_cache()
        answers.append(asked(place, run_of(tokens), first=first, mesh=mesh))
        sizes.append(decode_chunk._cache_size())
    assert sizes[1] < sizes[0]
    usual, ahead = answers
    assert_same_answers([ahead], [usual])
    # What reads the question had been compiled for the first answer.
    assert sum(ahead.facts["programs"].values()) == programs
    assert len(ahead.tokens.token) == tokens and max(ahead.tokens.delta_norm) > 0


def test_runs_that_draw_the_first_token_otherwise_are_left_alone(place):
    pruned = run_of(prune__fraction=0.5)
    answer = asked(place, pruned, first=True)
    assert len(answer.tokens.token) == 40
    engine = Engine.load(Checkpoint.open(place / "model"), pruned.model, "data=1")
    assert not DecodingAhead.serves(engine, pruned)
    assert DecodingAhead.serves(engine, run_of())


def test_what_the_compiler_meets_is_raised_where_the_program_is_asked_for(place, monkeypatch):
    def fails(*_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no room")

    run = run_of()
    engine = Engine.load(Checkpoint.open(place / "model"), run.model, "data=1")
    question = engine.checkpoint.prepare(as_question(CLIP, "Why?"), run)
    monkeypatch.setattr(engine, "begin", fails)
    with pytest.raises(UserError, match="the device's memory is too small"):
        DecodingAhead(engine, [question], run).program()
