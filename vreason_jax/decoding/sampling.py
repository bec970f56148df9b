"""From logits to a token: repetition penalty, temperature, top-p, min-p, top-H."""

import jax
import jax.numpy as jnp

from vreason_jax.config import SamplingConfig


def draw_token(
    logits: jax.Array, seen: jax.Array | None, key: jax.Array, config: SamplingConfig
) -> jax.Array:
    """Returns one token id (int32) of logits [V] float32; greedy at temperature 0.

    Args:
      seen: [V] bool, ids of the prompt and of the answer so far; None without a penalty.
      key: PRNG key of this answer and token; greedy drawing does not use it.
    """
    if seen is not None:
        logits = penalise_repetition(logits, seen, config.repetition_penalty)
    if config.temperature == 0.0:
        return jnp.argmax(logits).astype(jnp.int32)
    logits = logits / config.temperature
    if config.top_p < 1.0:
        logits = keep_nucleus(logits, config.top_p)
    if config.min_p > 0.0:
        floor = jnp.max(logits) + jnp.log(config.min_p)
        logits = jnp.where(logits < floor, -jnp.inf, logits)
    if 0.0 < config.top_h < 1.0:
        logits = keep_entropy(logits, config.top_h)
    return jax.random.categorical(key, logits).astype(jnp.int32)


def penalise_repetition(logits: jax.Array, seen: jax.Array, penalty: float) -> jax.Array:
    """Returns logits [V] with seen ones divided (if positive) or multiplied by the penalty.

    HF's RepetitionPenaltyLogitsProcessor (Keskar et al. 2019, section 4.1).
    """
    penalised = jnp.where(logits > 0, logits / penalty, logits * penalty)
    return jnp.where(seen, penalised, logits)


def keep_nucleus(logits: jax.Array, top_p: float) -> jax.Array:
    """Returns logits [V] with -inf outside the smallest set of probability `top_p` or more."""
    order = jnp.argsort(-logits, stable=True)
    probabilities = jax.nn.softmax(logits[order])
    before = jnp.cumsum(probabilities) - probabilities
    kept = jnp.zeros(logits.shape, bool).at[order].set(before < top_p)
    return jnp.where(kept, logits, -jnp.inf)


def keep_entropy(logits: jax.Array, top_h: float) -> jax.Array:
    """Returns logits [V] with -inf outside the tokens that top-H decoding keeps, at least one.

    Most likely tokens first, as many as leave the entropy of the kept ones, renormalised, at most
    `top_h` times that of all (Potraghloo et al. 2025, "Top-H decoding").
    """
    order = jnp.argsort(-logits, stable=True)
    probabilities = jax.nn.softmax(logits[order])
    logs = jnp.log(jnp.where(probabilities > 0, probabilities, 1.0))
    mass = jnp.cumsum(probabilities)
    # Of the first n, with mass S: -sum (p / S) log (p / S). It grows with n.
    entropy = jnp.log(mass) - jnp.cumsum(probabilities * logs) / mass
    within = ((entropy <= top_h * entropy[-1]) & (probabilities > 0)).at[0].set(True)
    kept = jnp.zeros(logits.shape, bool).at[order].set(within)
    return jnp.where(kept, logits, -jnp.inf)


def token_logprob(logits: jax.Array, token: jax.Array) -> jax.Array:
    """Returns log softmax(logits)[token], of the raw logits [V] at temperature 1."""
    return jax.nn.log_softmax(logits)[token]
