"""The decode loop: one scan over tokens, one cond around the tail of the network."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from vreason_jax.controller import controller as control
from vreason_jax.controller.entropy import token_entropy
from vreason_jax.controller.value_delta import value_shift
from vreason_jax.decoding import sampling
from vreason_jax.decoding.state import (
    DecodeContext,
    DecodeSettings,
    DecodeState,
    TokenTrace,
    answer_keys,
    by_row,
)
from vreason_jax.model.qwen25_vl import Qwen25VL

# One number a use of the answer's key, so that no two uses share random bits.
_DRAW, _ALPHA, DIRECTION, PRUNE = range(4)


@functools.partial(jax.jit, static_argnames=("settings", "steps"), donate_argnames="state")
def decode_chunk(
    model: Qwen25VL,
    context: DecodeContext,
    state: DecodeState,
    *,
    settings: DecodeSettings,
    steps: int,
) -> tuple[DecodeState, TokenTrace]:
    """Returns the state after `steps` more tokens, and their trace [steps, B]. Donates `state`."""
    return lax.scan(
        lambda carry, _: decode_token(model, context, carry, settings), state, None, length=steps
    )


def decode_token(
    model: Qwen25VL, context: DecodeContext, state: DecodeState, settings: DecodeSettings
) -> tuple[DecodeState, TokenTrace]:
    """Feeds the token drawn last and draws the next: token t = `state.step` from logits_t."""
    state, logits, controller, facts = next_logits(model, context, state, settings)
    return finish_token(context, state, settings, logits, controller, facts)


def next_logits(
    model: Qwen25VL, context: DecodeContext, state: DecodeState, settings: DecodeSettings
) -> tuple[DecodeState, jax.Array, control.ControllerState, dict[str, jax.Array]]:
    """Feeds `state.token`; returns the state one slot on, and what `finish_token` draws from.

    That is the logits [B, V] of token t = `state.step`, the controllers with that token's entropy,
    and update if any, in them, and the token's facts.
    """
    decoder = model.decoder
    x = decoder.embed(state.token[:, None])
    positions = jnp.broadcast_to(state.position[None, :, None], (3, x.shape[0], 1))
    rotation = decoder.rotation(positions, x.dtype)
    mask = _visible(state, context.starts)
    hidden, cache = decoder.body_step(x, rotation, state.cache, state.slot, mask)
    with jax.named_scope("last_layer"):
        weights, plain, cache = decoder.last_step(hidden, rotation, cache, state.slot, mask)
        tail = _tail(decoder, context, hidden, weights, plain, settings)
        logits, controller, facts = _steer(tail, context, state, settings)
    state = state.replace(cache=cache, slot=state.slot + 1, position=state.position + 1)
    return state, logits, controller, facts


def finish_token(
    context: DecodeContext,
    state: DecodeState,
    settings: DecodeSettings,
    logits: jax.Array,
    controller: control.ControllerState,
    facts: dict[str, jax.Array],
) -> tuple[DecodeState, TokenTrace]:
    """Draws a token from logits [B, V] and returns the next state and the token's trace.

    Args:
      controller: with this token's entropy, and update if any, in it.
      facts: entropy, alpha, updated and grad_norm of this token, [B] each.
    """
    with jax.named_scope("sample"):
        keys = _stream(answer_keys(context.seeds), _DRAW, state.step)
        draw = functools.partial(sampling.draw_token, config=settings.sampling)
        token = jax.vmap(draw, in_axes=(0, None if state.seen is None else 0, 0))(
            logits, state.seen, keys
        )
        logprob = jax.vmap(sampling.token_logprob)(logits, token)
    trace = TokenTrace(
        token=token,
        logprob=logprob,
        ema=controller.ema,
        peak=controller.peak,
        delta_norm=jnp.sqrt(jnp.sum(jnp.square(_seen(controller)), axis=(1, 2, 3))),
        **facts,
    )
    ended = jnp.isin(token, jnp.asarray(settings.eos_ids or (-1,), jnp.int32))
    state = state.replace(
        controller=controller,
        token=token,
        step=state.step + 1,
        done=state.done | ended,
        seen=None if state.seen is None else state.seen.at[jnp.arange(len(token)), token].set(True),
    )
    return state, trace


def observe(
    context: DecodeContext, state: DecodeState, settings: DecodeSettings, logits: jax.Array
) -> tuple[control.ControllerState, dict[str, jax.Array]]:
    """Returns the controllers with the entropy of logits [B, V] in them, and the token's facts."""
    keys = jax.vmap(lambda key: jax.random.fold_in(key, _ALPHA))(answer_keys(context.seeds))
    entropy = token_entropy(logits)

    def one(row, entropy, key):
        return control.observe(row, entropy, state.step, key, context.numbers, settings.controller)

    batch = entropy.shape[0]
    controller, alpha = by_row(one, batch)(state.controller, entropy, keys)
    if settings.controlled:
        # A row without video, in a batch where others have some, has no controller either.
        alpha = jnp.where(context.video_mask.any(axis=(1, 2)), alpha, 0.0)
    return controller, {
        "entropy": entropy,
        "alpha": alpha,
        "updated": jnp.zeros((batch,), bool),
        "grad_norm": jnp.zeros((batch,), jnp.float32),
    }


def _tail(decoder, context, hidden, weights, plain, settings):
    """The network as a function of the delta [B, K, M, H] alone: last layer, norm and head."""
    if not settings.controlled:
        return lambda delta: decoder.last_logits(hidden, plain)
    at_video = jnp.take_along_axis(weights, context.video_slots[:, :, None], axis=3)
    shift = functools.partial(value_shift, norm=settings.controller.norm)

    def tail(delta):
        moved = jax.vmap(shift)(context.video_values, delta, context.video_mask)
        extra = jnp.einsum("bkgm,bkmh->bkgh", at_video, moved)
        return decoder.last_logits(hidden, plain + extra[..., None, :])

    return tail


def _steer(tail, context, state, settings):
    """Logits of the token, its controllers and facts; at an update step with the delta's step."""
    seen = _seen(state.controller)

    def plain():
        logits = tail(seen)
        return logits, *observe(context, state, settings, logits)

    def updating():
        logits, gradient = _entropy_gradient(tail, state.controller, settings)
        controller, facts = observe(context, state, settings, logits)
        controller, facts = _update(controller, facts, gradient, context)
        if settings.controller.resample_after_update:
            logits = tail(_seen(controller))
        return logits, controller, facts

    if not settings.controlled:
        return plain()
    return lax.cond(control.is_update_step(state.step, settings.controller), updating, plain)


def _entropy_gradient(tail, controller, settings):
    """Logits [B, V] under the delta that is seen, and dH / d(trained delta) of each row."""

    def total_entropy(delta):
        logits = tail(delta)
        # Rows do not share a delta, so the sum's gradient is each row's own.
        return jnp.sum(token_entropy(logits)), logits

    gradient, logits = jax.grad(total_entropy, has_aux=True)(controller.delta)
    if controller.direction is not None:
        logits = tail(_seen(controller))
    return logits, gradient


def _update(controller, facts, gradient, context):
    def one(row, gradient, alpha):
        return control.update(row, gradient, alpha, context.numbers)

    batch = gradient.shape[0]
    controller, norm = by_row(one, batch)(controller, gradient, facts["alpha"])
    updated = context.video_mask.any(axis=(1, 2))
    return controller, {**facts, "updated": updated, "grad_norm": norm}


def _seen(controller):
    return jax.vmap(control.seen_delta)(controller)


def _visible(state: DecodeState, starts: jax.Array) -> jax.Array:
    slots = jnp.arange(state.cache.last.keys.shape[2])
    return (slots[None] >= starts[:, None]) & (slots[None] < state.slot)


def _stream(keys: jax.Array, use: int, step: jax.Array) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, use), step))(keys)
