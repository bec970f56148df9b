"""One answer's controller: observes the entropy of every token, updates the delta every k-th."""

import jax
import jax.numpy as jnp
import optax
from flax import struct

from vreason_jax.config import ControllerConfig
from vreason_jax.controller import switching
from vreason_jax.controller.numbers import ControllerNumbers


class ControllerState(struct.PyTreeNode):
    """What one answer's optimisation carries from token to token; float32 throughout."""

    ema: jax.Array  # [], of the entropy, in nats
    peak: jax.Array  # [], largest EMA so far
    delta: jax.Array  # [K, M, H], the trained value delta
    optimizer: optax.OptState  # clip and AdamW; two moments [K, M, H] and a count
    direction: jax.Array | None  # [K, M, H], unit Gaussian of `random_direction`, else None


def init(
    mask: jax.Array, head_width: int, key: jax.Array, config: ControllerConfig
) -> ControllerState:
    """Returns the state before the first token: delta 0, EMA 0, peak -inf.

    Args:
      mask: [K, M] bool, false at padded slots; M is 0 where there is no controller.
      key: the answer's PRNG key.
    """
    delta = jnp.zeros((*mask.shape, head_width), jnp.float32)
    return ControllerState(
        ema=jnp.zeros((), jnp.float32),
        peak=jnp.full((), -jnp.inf, jnp.float32),
        delta=delta,
        optimizer=optimizer(ControllerNumbers.of(config)).init(delta),
        direction=_random_direction(mask, head_width, key, config),
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
    key: jax.Array,
    numbers: ControllerNumbers,
    config: ControllerConfig,
) -> tuple[ControllerState, jax.Array]:
    """Returns the state with EMA and peak of token `step` (int32) in it, and its alpha."""
    ema = switching.update_ema(state.ema, entropy, step, numbers, config)
    switched, peak = switching.switch(ema, state.peak)
    alpha = switching.objective_alpha(switched, key, step, numbers, config)
    return state.replace(ema=ema, peak=peak), alpha


def update(
    state: ControllerState,
    entropy_gradient: jax.Array,
    alpha: jax.Array,
    numbers: ControllerNumbers,
) -> tuple[ControllerState, jax.Array]:
    """Returns the state after one AdamW step on L = -alpha H, and the gradient's norm before clip.

    `entropy_gradient` is dH / d delta [K, M, H] at `state.delta`.
    """
    gradient = -alpha * entropy_gradient
    norm = optax.tree.norm(gradient)
    updates, moments = optimizer(numbers).update(gradient, state.optimizer, state.delta)
    delta = optax.apply_updates(state.delta, updates)
    return state.replace(delta=delta, optimizer=moments), norm


def seen_delta(state: ControllerState) -> jax.Array:
    """Returns the delta [K, M, H] that the attention sees.

    The trained one, except under `random_direction`, where a fixed direction takes its norm.
    """
    if state.direction is None:
        return state.delta
    return state.direction * optax.tree.norm(state.delta)


def is_update_step(step: jax.Array, config: ControllerConfig) -> jax.Array:
    """Returns whether an update is made at token `step`: k, 2k, ...; only k under `frozen`."""
    if config.objective == "frozen":
        return step == config.every
    return (step > 0) & (step % config.every == 0)


def _random_direction(mask, width, key, config):
    """One Gaussian direction of unit length [K, M, H], or None under other objectives."""
    if config.objective != "random_direction":
        return None
    # One key a token: padding a row to more tokens must not change the others' numbers.
    heads, tokens = mask.shape
    keys = jax.vmap(lambda token: jax.random.fold_in(key, token))(jnp.arange(tokens))
    draw = jax.vmap(lambda k: jax.random.normal(k, (heads, width)), out_axes=1)
    direction = jnp.where(jnp.broadcast_to(mask[..., None], (*mask.shape, width)), draw(keys), 0.0)
    return direction / jnp.maximum(optax.tree.norm(direction), 1e-30)
