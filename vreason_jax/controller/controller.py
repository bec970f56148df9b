"""One answer's controller: observes the entropy of every token, updates the delta every k-th."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import lax

from vreason_jax.config import ControllerConfig
from vreason_jax.controller import switching
from vreason_jax.controller.numbers import ControllerNumbers
from vreason_jax.controller.value_delta import value_shift


class ControllerState(struct.PyTreeNode):
    """What one answer's optimisation carries from token to token; float32 throughout."""

    ema: jax.Array  # [], of the entropy, in nats
    peak: jax.Array  # [], largest EMA so far
    alpha: jax.Array  # [], of the last update; 0 before the first
    delta: jax.Array  # [K, M, H], the trained value delta
    optimizer: optax.OptState  # clip and AdamW; two moments [K, M, H] and a count
    # V_new - V, which the attention sees, as long as the delta stays: [K, M, H], each head as often
    # as it lies in the cache.
    shift: jax.Array
    delta_norm: jax.Array  # [], of the delta that it comes from
    value_norm: jax.Array  # [], of the values V that it is to be judged by; 0 before an update


def init(kv_heads: int, slots: int, head_width: int, repeats: int = 1) -> ControllerState:
    """Returns the state before the first token: delta and EMA 0, peak -inf.

    Each of `kv_heads` lies in the cache `repeats` times.
    """
    delta = jnp.zeros((kv_heads, slots, head_width), jnp.float32)
    zero = jnp.zeros((), jnp.float32)
    return ControllerState(
        ema=zero,
        peak=jnp.full((), -jnp.inf, jnp.float32),
        alpha=zero,
        delta=delta,
        optimizer=optimizer(ControllerNumbers.of(ControllerConfig())).init(delta),
        shift=jnp.repeat(delta, repeats, axis=0),
        delta_norm=zero,
        value_norm=zero,
    )


def optimizer(numbers: ControllerNumbers) -> optax.GradientTransformation:
    """Returns the clip to a global norm and AdamW, with torch's betas, epsilon and decay."""
    return optax.chain(
        optax.clip_by_global_norm(numbers.clip_norm),
        optax.adamw(numbers.learning_rate, weight_decay=numbers.weight_decay),
    )


def observe(
    state: ControllerState,
    entropy: jax.Array,
    step: jax.Array,
    coin: jax.Array,
    numbers: ControllerNumbers,
) -> tuple[ControllerState, jax.Array]:
    """Returns the state with EMA and peak of token `step` (int32) in it, and its alpha.

    `coin` is the token's of `switching.coin`.
    """
    ema = switching.update_ema(state.ema, entropy, step, numbers)
    switched, peak = switching.switch(ema, state.peak)
    alpha = switching.objective_alpha(switched, coin, numbers)
    return state.replace(ema=ema, peak=peak), alpha


def update(
    state: ControllerState,
    entropy_gradient: jax.Array,
    alpha: jax.Array,
    values: jax.Array,
    mask: jax.Array,
    key: jax.Array,
    numbers: ControllerNumbers,
    norm: str,
    *,
    chance: bool = True,
) -> tuple[ControllerState, jax.Array]:
    """Returns the state after one AdamW step on L = -alpha H, and the gradient's norm before clip.

    Args:
      entropy_gradient: dH / d delta [K, M, H] at `state.delta`.
      values: V [K, M, H] of what is steered. mask: [K, M] bool, the places that are.
      key: PRNG key of this answer's direction under `random_direction`.
      norm: of `value_delta.normalised_values`.
      chance: whether `numbers.random_direction` may hold; if not, no drawing is compiled.
    """
    gradient = -alpha * entropy_gradient
    gradient_norm = optax.tree.norm(gradient)
    anew = numbers.restart_on_flip & (alpha * state.alpha < 0)
    before = jax.tree.map(lambda a: jnp.where(anew, jnp.zeros_like(a), a), state.optimizer)
    updates, moments = optimizer(numbers).update(gradient, before, state.delta)
    delta = optax.apply_updates(state.delta, updates)
    seen: Any = delta
    if chance:
        seen = lax.cond(
            numbers.random_direction,
            lambda: random_direction(mask, values.shape[-1], key) * optax.tree.norm(delta),
            lambda: delta,
        )
    repeats = state.shift.shape[0] // values.shape[0]
    state = state.replace(
        alpha=jnp.asarray(alpha, jnp.float32),
        delta=delta,
        optimizer=moments,
        shift=seen_shift(values, seen, mask, norm, repeats),
        delta_norm=optax.tree.norm(seen),
        value_norm=optax.tree.norm(jnp.where(mask[..., None], values.astype(jnp.float32), 0.0)),
    )
    return state, gradient_norm


def seen_shift(
    values: jax.Array, delta: jax.Array, mask: jax.Array, norm: str, repeats: int
) -> jax.Array:
    """Returns `value_shift` of each head as often as it lies in the cache: [K x repeats, M, H]."""
    return jnp.repeat(value_shift(values, delta, mask, norm), repeats, axis=0)


def emptied(states: ControllerState, places: jax.Array) -> ControllerState:
    """Returns the states of rows, untrained at places [M] bool that belong to another token now."""
    delta = states.delta

    def one(array):
        return jnp.where(places[:, None], 0.0, array) if array.ndim == delta.ndim else array

    states = jax.tree.map(one, states)
    norm = jax.vmap(optax.tree.norm)(states.delta)
    return states.replace(delta_norm=jnp.where(jnp.any(places), norm, states.delta_norm))


def is_update_step(step: jax.Array, numbers: ControllerNumbers) -> jax.Array:
    """Returns whether an update is made at token `step`: k, 2k, ...; only k under `frozen`."""
    return (step > 0) & (step % numbers.every == 0) & (step <= numbers.last_update)


def random_direction(mask: jax.Array, width: int, key: jax.Array) -> jax.Array:
    """Returns one Gaussian direction of unit length [K, M, H], 0 outside the mask [K, M]."""
    # One key per place of the row's own: another cache, or company, must not change its numbers.
    heads = len(mask)
    ranks = jnp.cumsum(jnp.any(mask, axis=0))
    keys = jax.vmap(lambda rank: jax.random.fold_in(key, rank))(ranks)
    draw = jax.vmap(lambda k: jax.random.normal(k, (heads, width)), out_axes=1)
    direction = jnp.where(jnp.broadcast_to(mask[..., None], (*mask.shape, width)), draw(keys), 0.0)
    return direction / jnp.maximum(optax.tree.norm(direction), 1e-30)
