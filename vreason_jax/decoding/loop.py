"""The decode loop: one scan over tokens, and in it the update that every k-th of them takes."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from vreason_jax.controller import controller as control
from vreason_jax.controller import switching
from vreason_jax.controller.entropy import token_entropy
from vreason_jax.decoding import sampling
from vreason_jax.decoding.placement import Fed
from vreason_jax.decoding.state import (
    DecodeContext,
    DecodeSettings,
    DecodeState,
    TokenTrace,
    answer_keys,
    by_row,
    row_shardings,
)
from vreason_jax.model.decoder import Decoder

# One number per use of the answer's key, so that no two uses share random bits.
_DRAW, _ALPHA, _DIRECTION, PRUNE = range(4)


@functools.partial(jax.jit, static_argnames=("settings", "steps"), donate_argnames="state")
def decode_chunk(
    decoder: Decoder,
    context: DecodeContext,
    state: DecodeState,
    *,
    settings: DecodeSettings,
    steps: int,
) -> tuple[DecodeState, TokenTrace]:
    """Returns the state after `steps` more tokens, and their trace [steps, B]. Donates `state`."""

    def step(state, _):
        state, trace = decode_token(decoder, context, state, settings)
        return state, trace.packed()

    state, rows = lax.scan(step, state, None, length=steps)
    return _as_it_lay(state, settings), TokenTrace.unpacked(rows)


def decode_token(
    decoder: Decoder, context: DecodeContext, state: DecodeState, settings: DecodeSettings
) -> tuple[DecodeState, TokenTrace]:
    """Feeds the token drawn last and draws the next: token t = `state.step` from logits_t.

    At t = 0 it is the prompt's last token that is fed, and no delta has acted yet.
    """
    state, logits, facts = next_logits(decoder, context, state, settings)
    with jax.named_scope("sample"):
        keys = functools.partial(_keys, context, _DRAW, state.step)
        whole = row_shardings(logits, settings.mesh, logits.shape[0])
        token = sampling.draw_tokens(logits, state.seen, keys, context.sampling, whole)
        logprob = jax.vmap(sampling.token_logprob)(logits, token)
    controller = state.controller
    trace = TokenTrace(
        token=token,
        logprob=logprob,
        ema=controller.ema,
        peak=controller.peak,
        delta_norm=controller.delta_norm,
        value_norm=controller.value_norm,
        **facts,
    )
    # Compared, not scattered: devices that share the vocabulary would gather all of it for that.
    seen = state.seen | jax.nn.one_hot(token, state.seen.shape[1], dtype=bool)
    return state.replace(token=token, step=state.step + 1, seen=seen), trace


def next_logits(
    decoder: Decoder, context: DecodeContext, state: DecodeState, settings: DecodeSettings
) -> tuple[DecodeState, jax.Array, dict[str, jax.Array]]:
    """Feeds `state.token`; returns the state one slot on, and what the next token is drawn from.

    That is the logits [B, V] of token t = `state.step`, whose entropy, and update if any, are in
    the state's controllers, and its facts: entropy, alpha, updated and grad_norm, [B] each.
    """
    x = decoder.embed(state.token[:, None])
    position = jnp.where(
        state.step == 0, context.last_position, context.next_position + state.step - 1
    )
    positions = jnp.broadcast_to(position[None, :, None], (3, x.shape[0], 1))
    slots = jnp.arange(state.cache.capacity)
    mask = context.layout.visible(slots) & (slots < state.slot)[None]
    fed = Fed(x, positions, state.slot, mask, settings.mesh)
    step = settings.placement.step(decoder, state.cache, fed, context.target)
    if (left := settings.placement.left(state.slot, context.target)) is not None:
        state = state.replace(controller=control.emptied(state.controller, left))
    with jax.named_scope("tail"):
        (logits, rest), controller, facts = _steer(step, context, state, settings)
    state = state.replace(cache=step.cache(rest), controller=controller, slot=state.slot + 1)
    return state, logits, facts


def _steer(step, context, state, settings):
    """What the tail gives, the controllers and the token's facts; with an update, if one is due.

    The update is a loop of one turn or none: what a branch hands through, XLA copies, and deltas
    and moments are gigabytes in a large batch.
    """
    controller, numbers = state.controller, context.numbers
    coins = jax.vmap(lambda key: switching.coin(key, numbers))(_keys(context, _ALPHA, state.step))
    if not settings.controlled:
        given = step.tail(controller.shift)
        return given, *_observe(context, state, given[0], coins)
    logits, pull_back, rest = jax.vjp(step.tail, controller.shift, has_aux=True)
    observed, facts = _observe(context, state, logits, coins)
    repeats = controller.shift.shape[1] // controller.delta.shape[1]

    def update(carry):
        _, given, observed, facts = carry
        values = step.values()
        shift, to_delta = jax.vjp(
            lambda delta: jax.vmap(control.seen_shift, (0, 0, 0, None, None))(
                values, delta, step.mask, settings.norm, repeats
            ),
            observed.delta,
        )

        def trained():
            logits, pull_back, _ = jax.vjp(step.tail, shift, has_aux=True)
            return _entropy_gradient(logits, pull_back)

        gradient = functools.partial(_entropy_gradient, logits, pull_back)
        if settings.extra_tail:  # a random direction is seen, and another delta trained
            gradient = functools.partial(lax.cond, numbers.random_direction, trained, gradient)
        (gradient,) = to_delta(gradient())
        updated, facts = _update(observed, facts, gradient, values, step.mask, context, settings)
        if settings.extra_tail:
            given = lax.cond(numbers.resample, lambda: step.tail(updated.shift), lambda: given)
        return jnp.array(False), given, updated, facts

    due = control.is_update_step(state.step, numbers)
    if len(logits) == 1:  # of several rows devices would have to tell each other
        due &= _uncertain(facts, numbers)[0]
    carry = due, (logits, rest), observed, facts
    return lax.while_loop(lambda carry: carry[0], update, carry)[1:]


def _observe(context, state, logits, coins):
    """The controllers with the entropy of logits [B, V] in them, and the token's facts."""
    entropy = token_entropy(logits)

    def one(row, entropy, coin):
        return control.observe(row, entropy, state.step, coin, context.numbers)

    batch = entropy.shape[0]
    controller, alpha = by_row(one, batch)(state.controller, entropy, coins)
    # A row with nothing to steer, such as one without video, has no controller either.
    alpha = jnp.where(context.steered, alpha, 0.0)
    return controller, {
        "entropy": entropy,
        "alpha": alpha,
        "updated": jnp.zeros((batch,), bool),
        "grad_norm": jnp.zeros((batch,), jnp.float32),
    }


def _entropy_gradient(logits, pull_back):
    """dH / d(shift) of each row, H being the entropy of its logits, of which that is the pull."""
    # Rows do not share a shift, so the sum's gradient is each row's own.
    return pull_back(jax.grad(lambda logits: jnp.sum(token_entropy(logits)))(logits))[0]


def _update(controller, facts, gradient, values, mask, context, settings):
    keys, batch = _keys(context, _DIRECTION), gradient.shape[0]

    def one(row, gradient, due, alpha, values, mask, key):
        new, norm = control.update(
            row,
            gradient,
            alpha,
            values,
            mask,
            key,
            context.numbers,
            settings.norm,
            chance=settings.extra_tail,
        )
        if batch > 1:  # of one row the loop would not have come here
            new = jax.tree.map(lambda a, b: jnp.where(due, a, b), new, row)
        return new, jnp.where(due, norm, 0.0)

    due = _uncertain(facts, context.numbers)
    rows = (controller, gradient, due, facts["alpha"], values, mask, keys)
    controller, norm = by_row(one, batch)(*rows)
    if controller.shift.shape != controller.delta.shape:
        # Heads lie on several devices: each gets its own from where the delta lies, not all.
        lies = row_shardings(controller.delta, settings.mesh, batch)
        shift = lax.with_sharding_constraint(controller.shift, lies)
        controller = controller.replace(shift=shift)
    return controller, {**facts, "updated": context.steered & due, "grad_norm": norm}


def _uncertain(facts, numbers):
    """Which rows [B] an update is for: those whose entropy has not fallen below the floor."""
    return ~(facts["entropy"] < numbers.entropy_floor)


def _as_it_lay(state: DecodeState, settings: DecodeSettings) -> DecodeState:
    """Pins the state to the devices that it came from: another layout is another program."""
    shardings = row_shardings(state, settings.mesh, state.token.shape[0])
    return lax.with_sharding_constraint(state, shardings)


def _keys(context: DecodeContext, use: int, step: jax.Array | None = None) -> jax.Array:
    """The answers' keys [B] for one use: one for the whole answer, or another for every token."""

    def one(key):
        key = jax.random.fold_in(key, use)
        return key if step is None else jax.random.fold_in(key, step)

    return jax.vmap(one)(answer_keys(context.seeds))
