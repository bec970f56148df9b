"""When to explore and when to exploit: the entropy's moving average against its running peak."""

import jax
import jax.numpy as jnp
from jax import lax

from vreason_jax.controller.numbers import ControllerNumbers

EXPLORE, EXPLOIT = 1.0, -1.0


def update_ema(
    ema: jax.Array, entropy: jax.Array, step: jax.Array, numbers: ControllerNumbers
) -> jax.Array:
    """Returns EMA_t = beta EMA_{t-1} + (1 - beta) H_t, without bias correction.

    `ema` is EMA_{t-1}. At t = 0 it is 0 under `ema_init = "zero"` and H_0 under "first".
    """
    before = jnp.where(numbers.ema_from_first & (step == 0), entropy, ema)
    return numbers.ema_decay * before + numbers.ema_gain * entropy


def switch(ema: jax.Array, peak: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns alpha_t (+1 explore, -1 exploit) and the refreshed peak_t, of EMA_t and peak_{t-1}.

    alpha is +1 exactly when EMA_t >= peak_{t-1}: the comparison comes before the refresh, or a new
    maximum could never be told from an old one (V-Reason, entropy switching).
    """
    alpha = lax.cond(ema >= peak, lambda: jnp.float32(EXPLORE), lambda: jnp.float32(EXPLOIT))
    return alpha, jnp.maximum(peak, ema)


def coin(key: jax.Array, numbers: ControllerNumbers) -> jax.Array:
    """Returns +1 with probability `random_rate`, else -1: the alpha of a token of key `key`."""
    explore = jax.random.bernoulli(key, numbers.random_rate)
    return jnp.where(explore, jnp.float32(EXPLORE), jnp.float32(EXPLOIT))


def objective_alpha(switched: jax.Array, coin: jax.Array, numbers: ControllerNumbers) -> jax.Array:
    """Returns the alpha that the configured objective uses where `switch` would use `switched`."""
    chosen = numbers.alpha_switched * switched + numbers.alpha_coin * coin
    return numbers.alpha_constant + chosen
