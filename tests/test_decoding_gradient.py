"""The update's gradient against the gradient through the whole model, and what one update does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_model import (
    LONG,
    SHORT,
    TEXT,
    config_of,
    decode,
    first_token,
    small_model,
    start,
)

from vreason_jax.controller.entropy import token_entropy

# Every second token is an update and no clip is felt, so that Adam's first moment gives the
# gradient back: m_t = 0.9 m_{t-1} + 0.1 g_t.
CHANGES = {
    "controller__every": 2,
    "controller__learning_rate": 0.05,
    "controller__clip_norm": 1e9,
    "controller__ema_decay": 0.5,
}


def first_moment(state):
    is_adam = lambda node: hasattr(node, "mu")  # noqa: E731
    leaves = jax.tree.leaves(state.controller.optimizer, is_leaf=is_adam)
    return next(np.asarray(leaf.mu) for leaf in leaves if is_adam(leaf))


def steps(rows, count, **changes):
    """Context, and (state before, state after, trace) of each of `count` tokens after the first."""
    begun = first_token(start(rows, config_of(**CHANGES, **changes)))
    state, taken = begun.state, []
    for _ in range(count):
        before = jax.tree.map(jnp.copy, state)
        state, trace = decode(begun, state, 1)
        taken.append((before, jax.tree.map(jnp.copy, state), trace))
    return begun.context, taken


@functools.cache
def updates(norm="vector", rows=(LONG,)):
    return steps(rows, 4, controller__norm=norm)


def new_values(values, delta, norm):
    """V_new by the formula of the method, over one row's video slots [K, M, H]."""
    moved = values + delta
    axes = -1 if norm == "vector" else None
    before, after = (jnp.sum(a**2, axes, keepdims=True) for a in (values, moved))
    scale = jnp.where(before > 0, before, 1.0) / jnp.where(before > 0, after, 1.0)
    return moved * jnp.broadcast_to(jnp.sqrt(scale), moved.shape)


@functools.partial(jax.jit, static_argnames="norm")
def whole_step_entropy(delta, context, state, norm="vector"):
    """Entropy and logits of an answer's next token as a function of delta: the whole decode step,
    every layer, with V_new written into the last layer's value cache and attended to there."""
    decoder = small_model().decoder
    x = decoder.embed(state.token[:, None])
    position = context.next_position + state.step - 1
    rotation = decoder.rotation(jnp.broadcast_to(position[None, :, None], (3, 1, 1)), x.dtype)
    slots = jnp.arange(state.cache.capacity)
    before = (context.layout.visible(slots) & (slots < state.slot)[None])[0]
    x, cache = decoder.body_step(x, rotation, state.cache, state.slot, before[None])
    query, keys, values = decoder.last.inputs(x, rotation)
    values = jax.lax.dynamic_update_slice(cache.last.values, values, (0, 0, state.slot, 0))
    steered = values[0, :, : delta.shape[2]]
    at_video = jnp.broadcast_to(context.target.mask[0][..., None], steered.shape)
    old = jnp.where(at_video, steered, 0.0)
    moved = jnp.where(at_video, new_values(old, delta[0], norm), steered)
    moved = jnp.concatenate([moved, values[0, :, delta.shape[2] :]], axis=1)
    old_keys = cache.last.keys.swapaxes(2, 3)
    keys = jax.lax.dynamic_update_slice(old_keys, keys, (0, 0, state.slot, 0))
    scores = jnp.einsum("bkgth,bksh->bkgts", query, keys) * decoder.config.head_width**-0.5
    scores = jnp.where(before | (slots == state.slot), scores, -jnp.inf)
    attended = jnp.einsum("bkgts,bksh->bkgth", jax.nn.softmax(scores), moved[None])
    logits = decoder.logits(decoder.last.finish(x, attended))[0, 0]
    return token_entropy(logits), logits


@pytest.mark.parametrize("norm", ["vector", "tensor"])
def test_the_gradient_equals_the_gradient_through_the_whole_model(norm):
    context, taken = updates(norm)
    # t = 2 is taken at delta 0, t = 4 at the delta of the first update.
    for index in (1, 3):
        before, after, trace = taken[index]
        assert trace.updated[0, 0]
        assert (index == 3) == bool(jnp.any(before.controller.delta != 0))
        gradient = (first_moment(after) - 0.9 * first_moment(before)) / 0.1
        (entropy, _), expected = jax.value_and_grad(whole_step_entropy, has_aux=True)(
            before.controller.delta, context, before, norm=norm
        )
        expected = -trace.alpha[0, 0] * expected
        # Float32: the moment's difference loses a digit where the gradient is small.
        np.testing.assert_allclose(gradient, expected, atol=3e-5 * np.abs(expected).max())
        np.testing.assert_allclose(trace.entropy[0, 0], entropy, rtol=1e-5)
        np.testing.assert_allclose(trace.grad_norm[0, 0], np.linalg.norm(expected), rtol=1e-4)
        assert np.linalg.norm(expected) > 1e-2


def test_the_gradient_is_zero_outside_the_video_and_nowhere_else():
    context, taken = steps((LONG, SHORT, TEXT), 2)
    moment = first_moment(taken[-1][1])
    mask = np.asarray(context.target.mask)
    assert mask.sum(axis=(1, 2)).tolist() == [24, 12, 0]  # 12, 6 and 0 tokens of two heads
    np.testing.assert_array_equal(moment[~mask], 0)
    assert (np.abs(moment[mask]).max(axis=-1) > 0).all()
    delta = np.asarray(taken[-1][1].controller.delta)
    np.testing.assert_array_equal(delta[~mask], 0)


def test_the_video_slots_are_where_the_video_is():
    context, _ = updates()
    expected = LONG.before + np.arange(LONG.tokens)
    for head in np.asarray(context.target.mask)[0]:
        np.testing.assert_array_equal(np.flatnonzero(head), expected)


def test_the_cache_itself_is_never_changed_by_the_delta():
    _, taken = updates()
    before, after = (np.asarray(state.cache.last.values) for state in (taken[0][0], taken[-1][1]))
    np.testing.assert_array_equal(after[:, :, : LONG.length], before[:, :, : LONG.length])


@functools.cache
def steered(objective):
    """The first update under one sign of alpha, its token drawn again after it."""
    changes = {"controller__objective": objective, "controller__resample_after_update": True}
    context, taken = steps((LONG,), 2, **changes)
    before, after, trace = taken[-1]
    assert trace.updated[0, 0]
    old = whole_step_entropy(before.controller.delta, context, before)
    new = whole_step_entropy(after.controller.delta, context, before)
    return trace, old, new


@pytest.mark.parametrize("objective", ["min", "max"])
def test_one_update_lowers_or_raises_the_entropy_of_its_own_token(objective):
    _, (old, _), (new, _) = steered(objective)
    # Far above the rounding of a float32 entropy near 3 (4e-7).
    change = float(new - old)
    assert change < -1e-3 if objective == "min" else change > 1e-3


@pytest.mark.parametrize("objective", ["min", "max"])
def test_resampling_draws_after_the_update_and_reports_the_entropy_before(objective):
    trace, (old, old_logits), (_, new_logits) = steered(objective)
    np.testing.assert_allclose(trace.entropy[0, 0], old, rtol=1e-5)
    token = int(jnp.argmax(new_logits))
    assert trace.token[0, 0] == token
    before, after = (jax.nn.log_softmax(x)[token] for x in (old_logits, new_logits))
    np.testing.assert_allclose(trace.logprob[0, 0], after, rtol=1e-5)
    assert abs(before - after) > 1e-3
