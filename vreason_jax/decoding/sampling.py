"""From logits to a token: penalties, temperature, top-k, top-p, min-p, top-H."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jax.sharding import NamedSharding

from vreason_jax.arrays import Array
from vreason_jax.config import GREEDY, SamplingConfig


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
    whole: NamedSharding | None = None,
) -> jax.Array:
    """Returns one token id [B] int32 per row of logits [B, V] float32.

    Greedy at temperatures of 1e-6 and less.

    Args:
      seen: [B, V] bool, ids of the prompts and of the answers so far.
      keys: gives the [B] PRNG keys of these answers and this token; greedy drawing needs none.
      whole: how rows lie whole, where devices share the vocabulary: ranked there, each device would
        wait for the others at every step.
    """
    logits = lax.cond(numbers.penalised, lambda: penalise(logits, seen, numbers), lambda: logits)
    return lax.cond(
        numbers.temperature > GREEDY,
        lambda: _sample(logits, keys(), numbers, whole),
        lambda: jnp.argmax(logits, axis=-1).astype(jnp.int32),
    )


def _sample(logits, keys, numbers, whole):
    logits = logits / numbers.temperature

    def truncated():
        rows = logits if whole is None else lax.with_sharding_constraint(logits, whole)
        return jax.vmap(lambda row: keep_likely(row, numbers))(rows)

    logits = lax.cond(numbers.truncated, truncated, lambda: logits)
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
    likely = jax.nn.softmax(logits)
    logs = likely * jnp.log(jnp.where(likely > 0, likely, 1.0))
    top_k, top_p, top_h = numbers.top_k, numbers.top_p, numbers.top_h
    used = jnp.stack([top_k > 0, top_p < 1.0, (top_h > 0.0) & (top_h < 1.0)])
    floor = jnp.stack([0.0, 0.0, numbers.min_p]) * jnp.max(likely)  # before the last rule

    def mass(kept):
        return jnp.sum(jnp.where(kept, likely, 0.0))

    def entropy(kept):
        return jnp.log(mass(kept)) - jnp.sum(jnp.where(kept, logs, 0.0)) / mass(kept)

    # In a loop, since the search for a run is long to trace and to compile.
    def rule(number, kept):
        kept &= likely >= floor[number]
        weights = jnp.where(number == 0, 1.0, likely)
        most = jnp.where(number == 0, top_k, top_p * mass(kept))
        bound = top_h * entropy(kept)

        def holds(before, through):
            return lax.cond(
                number == 2,
                lambda: ~(entropy(through) > bound),  # of no tokens it is not a number
                lambda: jnp.sum(jnp.where(before, weights, 0.0)) < most,
            )

        return kept & lax.cond(used[number], lambda: longest_run(logits, holds), lambda: kept)

    kept = lax.fori_loop(jnp.uint32(0), jnp.uint32(len(used)), rule, likely > 0)
    return jnp.where(kept, logits, -jnp.inf)


def longest_run(logits: jax.Array, holds: Callable[..., jax.Array]) -> jax.Array:
    """Returns bool [V]: the most likely token, and the next ones up to the last that `holds`.

    `holds(before, through)` says so of a token, where it is true of all before it as well: of the
    tokens [V] bool before it, and of these and itself. Of equal logits the earlier comes first.
    Sorting would give the same, but TPUs compile a vocabulary's sort for 20 s.
    """
    equal_zeros = jnp.where(logits == 0, 0.0, logits)
    bits = lax.bitcast_convert_type(equal_zeros, jnp.uint32)
    place = jnp.where(bits >> 31 == 1, bits, 0x7FFFFFFF - bits)  # rises as the logit falls
    index = jnp.arange(len(logits), dtype=jnp.uint32)

    def before(value, end):
        return (place < value) | (place == value) & (index < end)

    def find(number, found):
        # One more hexadecimal digit: eight of the last place that holds, then five of its index.
        of_place = number < 8
        digit = jnp.arange(16, dtype=jnp.uint32) << 4 * (jnp.where(of_place, 7, 12) - number)
        values = found[0] + jnp.where(of_place, digit, 0)
        ends = found[1] + jnp.where(of_place, 0, digit)
        held = jax.vmap(lambda value, end: holds(before(value, end), before(value, end + 1)))
        last = jnp.maximum(jnp.sum(held(values, ends)) - 1, 0)
        return values[last], ends[last]

    nothing = jnp.uint32(0), jnp.uint32(0)
    value, end = lax.fori_loop(jnp.uint32(0), jnp.uint32(13), find, nothing)
    return before(value, end + 1) | (index == jnp.argmax(logits))


def token_logprob(logits: jax.Array, token: jax.Array) -> jax.Array:
    """Returns log softmax(logits)[token], of the raw logits [V] at temperature 1."""
    return jax.nn.log_softmax(logits)[token]
