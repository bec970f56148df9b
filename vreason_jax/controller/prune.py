"""V-Reason Lite: after prefill, every layer and head drops a share of its video slots."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from vreason_jax.config import PruneConfig

Array = Any  # np.ndarray where it is made, jax.Array where it is read


class DropPlan(struct.PyTreeNode):
    """How many video tokens leave the cache, per row and group; a group is ranked by itself.

    A group is the whole video of a row, or under `per_frame` one temporal patch.
    """

    group: Array  # [B, M] int32; padded tokens are in a last group of their own
    group_start: Array  # [B, M] int32, tokens in the groups before this token's
    group_drop: Array  # [B, M] int32, how many this token's group loses
    fixed_score: Array | None  # [B, M] float32 where the policy knows the slots beforehand


@dataclasses.dataclass(frozen=True)
class DropCounts:
    """The static side of a plan."""

    dropped: np.ndarray  # [B] int
    kept: np.ndarray  # [B] int


def plan_drops(
    frame_of_token: np.ndarray, mask: np.ndarray, config: PruneConfig
) -> tuple[DropPlan, DropCounts]:
    """Returns the plan for a batch, and how many tokens each row drops and keeps.

    Args:
      frame_of_token: [B, M] int, the temporal patch of each video token, counted over all videos.
      mask: [B, M] bool, false for padding.
    """
    group = np.where(mask, frame_of_token if config.policy == "per_frame" else 0, mask.shape[1])
    start, drop = np.zeros_like(group), np.zeros_like(group)
    for row in range(group.shape[0]):
        _, inverse, sizes = np.unique(group[row], return_inverse=True, return_counts=True)
        start[row] = (np.cumsum(sizes) - sizes)[inverse]
        drop[row] = np.floor(sizes * config.fraction)[inverse]
    drop = np.where(mask, drop, 0)
    fixed = _evenly_spaced(mask, config.fraction) if config.policy == "uniform" else None
    dropped = np.array([_drops(*rows) for rows in zip(group, drop, mask, strict=True)], int)
    plan = DropPlan(*(a.astype(np.int32) for a in (group, start, drop)), fixed_score=fixed)
    return plan, DropCounts(dropped, mask.sum(axis=1) - dropped)


def token_scores(
    keys: jax.Array, values: jax.Array, policy: str, key: jax.Array, fixed: jax.Array | None
) -> jax.Array:
    """Returns the scores [M] float32 of one layer and head's video tokens; low ones are dropped.

    Args:
      keys, values: [M, H]. key: PRNG key of this answer, layer and head.
      fixed: [M], the scores of a policy that does not look at the cache.
    """
    match policy:
        case "uniform":
            assert fixed is not None
            return fixed
        case "drop_low_key":
            return _length(keys)
        case "drop_high_key":
            return -_length(keys)
        case "random":
            # One key a token: padding must not change which tokens of a row are dropped.
            one = lambda m: jax.random.uniform(jax.random.fold_in(key, m))  # noqa: E731
            return jax.vmap(one)(jnp.arange(values.shape[0]))
        case _:
            return _length(values)


def dropped_tokens(scores: jax.Array, group, group_start, group_drop) -> jax.Array:
    """Returns bool [M]: the tokens of lowest score in their group, of equals the earlier first."""
    order = jnp.lexsort((scores, group))
    rank = jnp.zeros_like(order).at[order].set(jnp.arange(order.shape[0]))
    return rank - group_start < group_drop


def kept_slots(
    drop: jax.Array, video_slots: jax.Array, real: jax.Array, length: int
) -> tuple[jax.Array, jax.Array]:
    """Returns which cache slot each of `length` new slots takes, and which of them hold video.

    Args:
      drop: [M] bool. video_slots: [M] int32, S for padding.
      real: [S] bool, false for the padding on the prompt's left.

    Returns:
      [length] int32 and [length] bool. The kept slots stay in order and end at the last new slot;
      what is left over on the left is padding.
    """
    slots = real.shape[0]
    lost = jnp.zeros((slots,), bool).at[video_slots].set(drop, mode="drop")
    video = jnp.zeros((slots,), bool).at[video_slots].set(True, mode="drop")
    keep = real & ~lost
    source = jnp.argsort(keep, stable=True)[slots - length :]
    return source.astype(jnp.int32), (video & keep)[source]


def _length(vectors: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(vectors.astype(jnp.float32)), axis=-1))


def _drops(group: np.ndarray, drop: np.ndarray, mask: np.ndarray) -> int:
    _, first = np.unique(group[mask], return_index=True)
    return int(drop[mask][first].sum())


def _evenly_spaced(mask: np.ndarray, fraction: float) -> np.ndarray:
    """Scores 0 at the slots to drop and 1 elsewhere: the middle of each of D equal stretches."""
    scores = np.ones(mask.shape, np.float32)
    for row, size in enumerate(mask.sum(axis=1)):
        drop = int(np.floor(size * fraction))
        scores[row, (2 * np.arange(drop) + 1) * size // (2 * max(drop, 1))] = 0
    return scores
