"""Drops video slots of every layer's cache, once, after the first token (V-Reason Lite)."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from vreason_jax.controller import prune
from vreason_jax.decoding.loop import PRUNE
from vreason_jax.decoding.state import answer_keys, row_shardings
from vreason_jax.model.cache import KVCache, LayerCache, with_capacity


@functools.partial(jax.jit, static_argnames=("policy", "capacity", "repeats", "mesh"))
def prune_cache(
    cache: KVCache,
    real: jax.Array,
    kept: jax.Array,
    marks: tuple[jax.Array, ...],
    drops: prune.DropPlan,
    seeds: jax.Array,
    *,
    policy: str,
    capacity: int,
    repeats: int,
    mesh: Mesh,
) -> tuple[KVCache, tuple[jax.Array, ...]]:
    """Returns the cache without what `drops` says, and where the last layer's marks are then.

    The slots that stay move together to the front, each head's own. Marks are then [B, K, capacity]
    bool. Heads lie in the cache `repeats` times, in the marks once.

    Args:
      real: [B, S] bool, false at padding. kept: [B] int32, the slots that each row keeps.
      marks: each [B, S] bool, slots that are to be found again.
      seeds: [B, 2] uint32, of the answers.
    """
    layers = (*cache.body, cache.last)
    sources = [
        _kept(layer, n, real, drops, seeds, policy, repeats) for n, layer in enumerate(layers)
    ]
    packed = [_taken(*both, capacity) for both in zip(layers, sources, strict=True)]
    source, rows = sources[-1][:, ::repeats, :capacity], jnp.arange(len(real))[:, None, None]
    stays = jnp.arange(source.shape[2])[None, None] < kept[:, None, None]
    spare = (0, 0), (0, 0), (0, capacity - source.shape[2])
    moved = tuple(jnp.pad(mark[rows, source] & stays, spare) for mark in marks)
    result = KVCache(body=tuple(packed[:-1]), last=packed[-1]), moved
    return lax.with_sharding_constraint(result, row_shardings(result, mesh, len(real)))


@jax.jit
def without_video_values(cache: KVCache, video: jax.Array) -> KVCache:
    """Returns the cache with 0 for the last layer's values where `video` [B, K, S] bool is true."""
    values = cache.last.values
    video = jnp.repeat(video, values.shape[1] // video.shape[1], axis=1)
    return cache.replace(last=cache.last.replace(values=jnp.where(video[..., None], 0, values)))


def _kept(layer: LayerCache, number: int, real, drops, seeds, policy, repeats):
    """Which slot each new slot takes, [B, K, S] int32."""

    def head(keys, values, key, real, drops):
        scores = prune.slot_scores(keys, values, policy, key, drops.evenly)
        lost = prune.dropped_slots(scores, drops.group, drops.group_start, drops.group_drop)
        return prune.kept_slots(real & ~lost, len(real))

    def row(keys, values, key, real, drops):
        key = jax.random.fold_in(jax.random.fold_in(key, PRUNE), number)
        heads = jnp.arange(keys.shape[0]) // repeats
        of_heads = jax.vmap(lambda h: jax.random.fold_in(key, h))(heads)
        return jax.vmap(head, in_axes=(0, 0, 0, None, None))(keys, values, of_heads, real, drops)

    return jax.vmap(row)(layer.keys.swapaxes(2, 3), layer.values, answer_keys(seeds), real, drops)


def _taken(layer: LayerCache, source: jax.Array, capacity: int) -> LayerCache:
    source = source[..., :capacity]
    keys = jnp.take_along_axis(layer.keys, source[:, :, None], axis=3)
    values = jnp.take_along_axis(layer.values, source[..., None], axis=2)
    return with_capacity(LayerCache(keys=keys, values=values), capacity)
