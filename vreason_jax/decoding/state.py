"""What prefill hands to decoding, what decoding carries, and what it reports."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from vreason_jax.config import ControllerConfig, RunConfig, SamplingConfig
from vreason_jax.controller.controller import ControllerState
from vreason_jax.controller.numbers import ControllerNumbers, without_numbers
from vreason_jax.model.cache import KVCache

Array = Any  # jax.Array on the device, np.ndarray before and after


@dataclasses.dataclass(frozen=True)
class DecodeSettings:
    """The static side of decoding: everything that a compiled program depends on but shapes."""

    controller: ControllerConfig
    sampling: SamplingConfig
    eos_ids: tuple[int, ...]  # empty: never stop

    @classmethod
    def of(cls, config: RunConfig, eos_ids: tuple[int, ...], *, has_video: bool):
        """Returns the settings of a run; without video tokens the controller is off.

        Seed, token budget and the controller's numbers are taken out: they are data, and must not
        compile anew.
        """
        controller = without_numbers(config.controller)
        if not has_video:
            controller = dataclasses.replace(controller, objective="none")
        sampling = dataclasses.replace(config.sampling, seed=0, max_new_tokens=1)
        return cls(controller, sampling, eos_ids)

    @property
    def controlled(self) -> bool:
        """Whether a value delta is trained at all."""
        return self.controller.objective != "none"


class DecodeContext(struct.PyTreeNode):
    """What stays the same for a whole answer."""

    starts: jax.Array  # [B] int32, first real cache slot of each row
    seeds: jax.Array  # [B, 2] uint32, (seed, hash of the question): the answer's PRNG key
    video_slots: (
        jax.Array
    )  # [B, K, M] int32, the last layer's cache slots of the video, 0 if padded
    video_mask: jax.Array  # [B, K, M] bool, false for padding
    video_values: jax.Array  # [B, K, M, H], the last layer's values there, in the cache's dtype
    numbers: ControllerNumbers
    value_norm: jax.Array  # [B] float32, their L2 norm, to judge the delta's by


class DecodeState(struct.PyTreeNode):
    """The scan's carry."""

    cache: KVCache
    controller: ControllerState  # leading axis B
    token: jax.Array  # [B] int32, the token drawn last, which is fed next
    position: jax.Array  # [B] int32, its rope position, the same on the three axes
    slot: jax.Array  # int32, the cache slot that its keys and values go to
    step: jax.Array  # int32, number t of the token that is drawn next
    done: jax.Array  # [B] bool, the row has drawn an end-of-sequence token
    seen: jax.Array | None  # [B, V] bool, ids in prompt and answer; None without a penalty


class TokenTrace(NamedTuple):
    """One token's entry in the trace, [B] each."""

    token: Array  # int32
    logprob: Array
    entropy: Array  # nats
    ema: Array
    peak: Array
    alpha: Array
    updated: Array  # bool
    grad_norm: Array  # before the clip, 0 without an update
    delta_norm: Array  # after the step


def answer_keys(seeds: jax.Array) -> jax.Array:
    """Returns the PRNG keys [B] of answers with seeds [B, 2]."""
    return jax.vmap(lambda s: jax.random.fold_in(jax.random.key(s[0]), s[1]))(seeds)


def by_row(function, batch: int):
    """Returns `function`, written for one row, over a leading axis of `batch` rows.

    A batch of one is not vmapped, so that a lax.cond inside stays a branch.
    """
    if batch > 1:
        return jax.vmap(function)

    def single(*rows):
        one = function(*jax.tree.map(lambda a: a[0], rows))
        return jax.tree.map(lambda a: jnp.asarray(a)[None], one)

    return single
