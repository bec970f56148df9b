"""V-Reason Lite: after the first token, every layer and head drops a share of its video slots."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from vreason_jax.arrays import Array
from vreason_jax.config import PruneConfig

NO_VIDEO = -1  # the temporal patch of a slot that holds no video


class DropPlan(struct.PyTreeNode):
    """How many video slots leave the cache, per row and group; a group is ranked by itself.

    A group is the whole video of a row, or under `per_frame` one temporal patch. Slots without
    video are in a last group of their own, which drops none.
    """

    group: Array  # [B, S] int32
    group_start: Array  # [B, S] int32, slots in the groups before this slot's
    group_drop: Array  # [B, S] int32, how many this slot's group loses
    evenly: Array  # [B, S] float32, 0 where `uniform` drops


def plan_drops(frame_of_slot: np.ndarray, config: PruneConfig) -> tuple[DropPlan, np.ndarray]:
    """Returns the plan for a batch, and how many slots [B] each row drops.

    `frame_of_slot` [B, S] int is the temporal patch of each slot's video token, counted over all
    videos of the row, or NO_VIDEO.
    """
    video = frame_of_slot != NO_VIDEO
    group = np.where(video, frame_of_slot if config.policy == "per_frame" else 0, video.shape[1])
    start, drop = np.zeros_like(group), np.zeros_like(group)
    dropped = np.zeros(len(group), int)
    for row in range(len(group)):
        names, inverse, sizes = np.unique(group[row], return_inverse=True, return_counts=True)
        drops = np.where(names < video.shape[1], np.floor(sizes * config.fraction), 0).astype(int)
        start[row], drop[row] = (np.cumsum(sizes) - sizes)[inverse], drops[inverse]
        dropped[row] = drops.sum()
    plan = DropPlan(
        *(a.astype(np.int32) for a in (group, start, drop)),
        evenly=_evenly_spaced(video, config.fraction),
    )
    return plan, dropped


def slot_scores(
    keys: jax.Array, values: jax.Array, policy: str, key: jax.Array, evenly: jax.Array
) -> jax.Array:
    """Returns the scores [S] float32 of one layer and head's slots; low ones are dropped.

    Args:
      keys, values: [S, H]. key: PRNG key of this answer, layer and head.
      evenly: [S], the scores of `uniform`, which does not look at the cache.
    """
    match policy:
        case "uniform":
            return evenly
        case "drop_low_key":
            return _length(keys)
        case "drop_high_key":
            return -_length(keys)
        case "random":
            # One key per slot: padding must not change which slots of a row are dropped.
            one = lambda slot: jax.random.uniform(jax.random.fold_in(key, slot))  # noqa: E731
            return jax.vmap(one)(jnp.arange(values.shape[0]))
        case _:
            return _length(values)


def dropped_slots(scores: jax.Array, group, group_start, group_drop) -> jax.Array:
    """Returns bool [S]: the slots of lowest score in their group, of equals the earlier first."""
    order = jnp.lexsort((scores, group))
    rank = jnp.zeros_like(order).at[order].set(jnp.arange(order.shape[0]))
    return rank - group_start < group_drop


def kept_slots(keep: jax.Array, length: int) -> jax.Array:
    """Returns which slot [length] int32 each new slot takes: those to keep [S] bool, in order.

    What follows them are slots that were not to be kept, in order too.
    """
    return jnp.argsort(~keep, stable=True)[:length].astype(jnp.int32)


def _length(vectors: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(vectors.astype(jnp.float32)), axis=-1))


def _evenly_spaced(video: np.ndarray, fraction: float) -> np.ndarray:
    """Scores 0 at the slots to drop and 1 elsewhere: the middle of each of D equal stretches."""
    scores = np.ones(video.shape, np.float32)
    for row, slots in enumerate(map(np.flatnonzero, video)):
        drop = int(np.floor(len(slots) * fraction))
        scores[row, slots[(2 * np.arange(drop) + 1) * len(slots) // (2 * max(drop, 1))]] = 0
    return scores
