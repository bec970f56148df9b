"""From logits to a token: penalties, temperature, top-k, top-p, min-p, top-H."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from vreason_jax.arrays import Array
from vreason_jax.config import SamplingConfig


class SamplingNumbers(struct.PyTreeNode):
    """As in SamplingConfig, []: float32, `top_k` int32. Data, so that a sweep runs one program."""

    temperature: Array
    top_k: Array
    top_p: Array
    min_p: Array
    top_h: Array
    repetition_penalty: Array
    presence_penalty: Array

    @classmethod
    def of(cls, config: SamplingConfig) -> "SamplingNumbers":
        """Returns the numbers of a config."""
        names = [name for name in cls.__dataclass_fields__ if name != "top_k"]
        floats = {name: np.float32(getattr(config, name)) for name in names}
        return cls(top_k=np.int32(config.top_k), **floats)

    @property
    def penalised(self) -> jax.Array:
        """Whether what has been said changes the logits."""
        return (self.repetition_penalty != 1.0) | (self.presence_penalty != 0.0)

    @property
    def truncated(self) -> jax.Array:
        """Whether tokens are left out by their rank."""
        return (self.top_k > 0) | (self.top_p < 1.0) | (self.top_h > 0.0) & (self.top_h < 1.0)


def draw_tokens(
    logits: jax.Array,
    seen: jax.Array,
    keys: Callable[[], jax.Array],
    numbers: SamplingNumbers,
) -> jax.Array:
    """Returns one token id [B] int32 per row of logits [B, V] float32; greedy at temperature 0.

    Args:
      seen: [B, V] bool, ids of the prompts and of the answers so far.
      keys: gives the [B] PRNG keys of these answers and this token; greedy drawing needs none.
    """
    logits = lax.cond(numbers.penalised, lambda: penalise(logits, seen, numbers), lambda: logits)
    return lax.cond(
        numbers.temperature > 0.0,
        lambda: _sample(logits, keys(), numbers),
        lambda: jnp.argmax(logits, axis=-1).astype(jnp.int32),
    )


def _sample(logits, keys, numbers):
    logits = logits / numbers.temperature
    logits = lax.cond(
        numbers.truncated,
        lambda: jax.vmap(lambda row: keep_likely(row, numbers))(logits),
        lambda: logits,
    )
    # At min_p = 0 the floor is -inf.
    floor = jnp.max(logits, axis=-1, keepdims=True) + jnp.log(numbers.min_p)
    logits = jnp.where(logits < floor, -jnp.inf, logits)
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)


def penalise(logits: jax.Array, seen: jax.Array, numbers: SamplingNumbers) -> jax.Array:
    """Returns logits with seen ones divided (if positive) or multiplied by the repetition penalty.

    Then less the presence penalty. HF's RepetitionPenaltyLogitsProcessor (Keskar et al. 2019,
    section 4.1); vLLM's presence_penalty counts the answer alone, here the prompt's ids count too.
    """
    penalty = numbers.repetition_penalty
    penalised = jnp.where(logits > 0, logits / penalty, logits * penalty)
    return jnp.where(seen, penalised - numbers.presence_penalty, logits)


def keep_likely(logits: jax.Array, numbers: SamplingNumbers) -> jax.Array:
    """Returns logits [V] with -inf outside the most likely tokens, at least one.

    One rule after the other, each on what the rules before it left, renormalised: `top_k`; the
    smallest set of probability `top_p` or more; `min_p` times the largest or more; and as many as
    leave the entropy of the kept ones at most `top_h` times that of all (Potraghloo et al. 2025,
    "Top-H decoding"). 0 is off for top_k, min_p and top_h, 1 for top_p and top_h.
    """
    ranks = jnp.arange(logits.shape[0])
    falling, order = lax.sort((-logits, ranks), num_keys=1)
    likely = jax.nn.softmax(-falling)
    logs = likely * jnp.log(jnp.where(likely > 0, likely, 1.0))
    # Of the first n tokens, what every rule keeps: their mass S and sum p log p. Renormalised,
    # their entropy is log S - (sum p log p) / S, which grows with n.
    mass, moment = jnp.cumsum(jnp.stack([likely, logs]), axis=1)
    entropy = jnp.log(mass) - moment / mass
    kept = (likely > 0) & ((numbers.top_k <= 0) | (ranks < numbers.top_k))
    all_mass = jnp.sum(jnp.where(kept, likely, 0.0))
    kept &= (numbers.top_p >= 1.0) | (mass - likely < numbers.top_p * all_mass)
    kept &= likely >= numbers.min_p * likely[0]
    all_entropy = jnp.max(jnp.where(kept, entropy, 0.0))
    every = (numbers.top_h <= 0.0) | (numbers.top_h >= 1.0)
    kept &= every | (entropy <= numbers.top_h * all_entropy)
    count = jnp.maximum(jnp.sum(kept), 1)
    _, rank = lax.sort((order, ranks), num_keys=1)
    return jnp.where(rank < count, logits, -jnp.inf)


def token_logprob(logits: jax.Array, token: jax.Array) -> jax.Array:
    """Returns log softmax(logits)[token], of the raw logits [V] at temperature 1."""
    return jax.nn.log_softmax(logits)[token]
