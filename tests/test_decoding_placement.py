"""Wherever the delta acts, it does what it does at the video's values: the same properties."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_model
from small_model import LONG, SHORT, TEXT, Row, config_of, decode, first_token, run, start

from vreason_jax.config import ControllerConfig, steered_layers
from vreason_jax.decoding.placements import placement_of
from vreason_jax.engine.rows import SINKS
from vreason_jax.errors import UserError

LIVELY = {"controller__ema_decay": 0.5, "controller__learning_rate": 0.1}
ROWS = (LONG, SHORT, TEXT)
# Than the last layer's values of the video, which have tests of their own.
OTHERS = ("question", "prompt", "video@0", "question@last2", "answer", "hidden", "logits")
placements = pytest.mark.parametrize("placement", OTHERS)
ONE_BY_ONE = (1,) * 12  # one program for all of a run


@functools.cache
def trace_of(placement, rows=(LONG,), capacity=256, **changes):
    config = config_of(controller__placement=placement, **{**LIVELY, **changes})
    return run(rows, config, capacity=capacity, chunks=ONE_BY_ONE)


@functools.cache
def plain():
    return run((LONG,), config_of(controller__objective="none"), chunks=ONE_BY_ONE)


@placements
def test_no_learning_is_plain_decoding_though_there_is_a_gradient(placement):
    still = trace_of(placement, controller__learning_rate=0.0)
    np.testing.assert_array_equal(still.token, plain().token)
    np.testing.assert_allclose(still.entropy, plain().entropy, rtol=1e-5)
    assert still.grad_norm[[4, 8, 12]].min() > 1e-3 and not still.delta_norm.any()


@placements
def test_the_tokens_up_to_the_first_update_are_plain_and_later_ones_are_not(placement):
    trace = trace_of(placement)
    np.testing.assert_allclose(trace.entropy[:5], plain().entropy[:5], rtol=1e-5)
    assert np.abs(trace.entropy - plain().entropy).max() > 1e-2
    assert np.flatnonzero(trace.updated).tolist() == [4, 8, 12]


@placements
@pytest.mark.parametrize("objective", ["min", "max"])
def test_one_update_moves_the_entropy_of_its_token_as_its_sign_says(placement, objective):
    # A step so small that the gradient still holds at its end.
    changes = {"controller__objective": objective, "controller__learning_rate": 5e-3}
    begun = first_token(start((LONG,), config_of(controller__placement=placement, **changes)))
    state = begun.state
    for _ in range(3):
        state, _ = decode(begun, state, 1)
    before = jax.tree.map(jnp.copy, state)
    after, trace = decode(begun, state, 1)
    assert trace.updated[0, 0]
    _, again = decode(begun, before.replace(controller=after.controller), 1)
    change = float(again.entropy[0, 0] - trace.entropy[0, 0])
    # Far above the rounding of a float32 entropy near 3 (4e-7).
    assert change < -1e-4 if objective == "min" else change > 1e-4


@placements
@pytest.mark.parametrize("row", range(3))
def test_a_row_of_a_batch_is_that_row_alone(placement, row):
    together = small_model.row_of(trace_of(placement, ROWS), row)
    small_model.assert_same_run(together, trace_of(placement, (ROWS[row],)))
    # Of the text alone there is no video to steer.
    assert together.updated[4, 0] == (row < 2 or not placement.startswith("video"))


@pytest.mark.parametrize("placement", ["question", "video@0", "answer"])
def test_lengthening_the_cache_changes_nothing(placement):
    small_model.assert_same_run(trace_of(placement, capacity=512), trace_of(placement))


def steered_slots(placement, rows=(LONG,), **changes):
    """The slots of each row that the delta acts on, the same for both heads."""
    begun = start(rows, config_of(controller__placement=placement, **changes))
    target = begun.context.target
    first = 0 if target.start is None else int(target.start)
    heads = np.asarray(target.mask).swapaxes(0, 1)
    np.testing.assert_array_equal(*heads)
    return [(first + np.flatnonzero(row)).tolist() for row in heads[0]]


def test_the_question_is_the_users_words_and_the_prompt_all_but_its_first_tokens():
    shared, rest = LONG.before + LONG.tokens, LONG.after - 1
    assert steered_slots("question") == [list(range(shared + 1, shared + rest))]
    assert steered_slots("prompt") == [list(range(SINKS, LONG.length))]
    # A shorter prompt of a batch has padding behind its shared part, and maybe its rest.
    longer = Row(grid=(4, 2, 2), after=12, seed=5)
    first = longer.before + longer.tokens
    assert steered_slots("question", (LONG, longer))[0] == list(range(first + 1, first + rest))
    ends = [*range(SINKS, shared), *range(first, first + rest), first + longer.after - 1]
    assert steered_slots("prompt", (LONG, longer))[0] == ends


def test_dropping_video_slots_leaves_the_words_steered():
    dropped = steered_slots("question", prune__fraction=0.5)
    assert dropped == [[slot - 6 for slot in steered_slots("question")[0]]]
    trace = trace_of("question", prune__fraction=0.5)
    assert trace.updated[[4, 8, 12]].all() and np.isfinite(trace.entropy).all()


def test_a_short_ring_steers_the_tokens_before_the_present_one_and_forgets_older_ones():
    changes = {"controller__placement": "answer", "controller__recent": 3}
    begun = first_token(start((LONG,), config_of(**LIVELY, **changes, controller__every=5)))
    state, trained = begun.state, []
    for _ in range(9):
        state, _ = decode(begun, state, 1)
        trained.append(np.abs(state.controller.delta[0]).max(axis=(0, 2)) > 0)
    # After token 5, three tokens lie before the one that was fed; then each takes a place.
    assert [places.sum() for places in trained] == [0, 0, 0, 0, 3, 2, 1, 0, 0]
    moments = [a for a in jax.tree.leaves(state.controller) if a.ndim == 4]
    assert len(moments) == 4 and not any(np.asarray(a).any() for a in moments)


def test_layers_are_named_from_either_end_and_the_last_is_the_default():
    assert steered_layers("video", 28) == steered_layers("prompt@-1", 28) == (27,)
    assert steered_layers("video@0", 28) == steered_layers("video@-28", 28) == (0,)
    assert steered_layers("video@last3", 28) == (25, 26, 27)
    one = placement_of(ControllerConfig(placement="video"), 28)
    assert placement_of(ControllerConfig(placement="prompt@27"), 28) == one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"placement": "vdeo"}, "expected one of video, question"),
        ({"placement": "video@up"}, "video@last2"),
        ({"placement": "hidden@3"}, "got 'hidden@3'"),
        ({"placement": "hidden", "norm": "tensor"}, "controller.norm: expected none"),
        ({"objective": "frozen", "entropy_floor": 0.5}, "controller.entropy_floor: expected 0"),
    ],
)
def test_what_does_not_go_together_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        ControllerConfig(**changes)


def test_layers_beyond_the_model_and_layers_that_drop_slots_are_one_line():
    for named in ("28", "-29", "last29"):
        with pytest.raises(UserError, match="expected layers among the model's 0 to 27"):
            steered_layers(f"video@{named}", 28)
    with pytest.raises(UserError, match=r"expected no layer with prune\.fraction 0\.5"):
        config_of(controller__placement="video@0", prune__fraction=0.5)
