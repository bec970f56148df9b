"""From a batch of prompts to the state that decoding starts from, and the first token."""

import functools

import jax
import jax.numpy as jnp
from flax import struct

from vreason_jax.config import PruneConfig
from vreason_jax.controller import controller as control
from vreason_jax.controller import prune
from vreason_jax.controller.numbers import ControllerNumbers
from vreason_jax.decoding import loop
from vreason_jax.decoding.reading import ReadPrompt, read_prompt
from vreason_jax.decoding.state import (
    Array,
    DecodeContext,
    DecodeSettings,
    DecodeState,
    TokenTrace,
    answer_keys,
)
from vreason_jax.model.cache import KVCache, LayerCache, with_capacity
from vreason_jax.model.qwen25_vl import Qwen25VL


class PrefillInputs(struct.PyTreeNode):
    """Prompts padded on the left to one length (prompt/batch.py), with what the method needs."""

    token_ids: Array  # [B, S] int32
    positions: Array  # [3, B, S] int32
    starts: Array  # [B] int32, first real slot
    next_positions: Array  # [B] int32, of the first generated token
    media_slots: Array  # flat indices b * S + s of all media tokens, int32
    video_slots: Array  # [B, M] int32, slots of the video tokens, S for padding
    video_mask: Array  # [B, M] bool
    drops: prune.DropPlan
    seeds: Array  # [B, 2] uint32
    numbers: ControllerNumbers


class CacheLengths(struct.PyTreeNode):
    """Static lengths of the cache: after pruning, of the video in it, and with room to decode."""

    prompt: int = struct.field(pytree_node=False)
    video: int = struct.field(pytree_node=False)
    capacity: int = struct.field(pytree_node=False)


@functools.partial(jax.jit, static_argnames=("settings", "pruning", "lengths"))
def prefill(
    model: Qwen25VL,
    batch: PrefillInputs,
    media: list[jax.Array],
    dropped: jax.Array,
    *,
    settings: DecodeSettings,
    pruning: PruneConfig,
    lengths: CacheLengths,
) -> tuple[DecodeContext, DecodeState, TokenTrace]:
    """Returns the context and state of decoding, and the trace [B] of the first token.

    Args:
      media: the vision tower's embeddings [M, D] of each video or image, in prompt order.
      dropped: [B] int32, how many video tokens each row loses to pruning.
    """
    prompts = (batch.token_ids, batch.positions, batch.starts)
    read = read_prompt(model, *prompts, media, batch.media_slots)
    return begin(read, batch, dropped, settings=settings, pruning=pruning, lengths=lengths)


@functools.partial(jax.jit, static_argnames=("settings", "pruning", "lengths", "last_values"))
def begin(
    read: ReadPrompt,
    batch: PrefillInputs,
    dropped: jax.Array,
    *,
    settings: DecodeSettings,
    pruning: PruneConfig,
    lengths: CacheLengths,
    last_values: bool = True,
) -> tuple[DecodeContext, DecodeState, TokenTrace]:
    """Returns what `prefill` returns, of prompts that have been read.

    `read` stays as it is: every method and seed begins from it, with a cache of its own. Without
    `last_values` the last layer's values of the video are 0 in it: decoding cannot read them,
    though the first token, which comes from the prompt, has.
    """
    packed = [_pack(of, layer, batch, pruning, lengths) for layer, of in enumerate(read.layers)]
    cache = KVCache(body=tuple(c for c, _ in packed[:-1]), last=packed[-1][0])
    if not last_values:
        cache = cache.replace(last=_without_video(*packed[-1]))
    # Pruning moves each row's end to the new last prompt slot, and its start with it.
    start = batch.starts + dropped + (lengths.prompt - batch.token_ids.shape[1])
    context = _context(cache, packed[-1][1], start, batch, lengths, settings)
    logits = read.logits
    state = _first_state(cache, context, batch, lengths, settings, logits.shape[-1])
    return context, *loop.finish_token(
        context, state, settings, logits, *loop.observe(context, state, settings, logits)
    )


def _pack(read, layer, batch, pruning, lengths):
    """One layer's cache, pruned and with room to decode, and where its video is, [B, K, S]."""
    keys, values = read.keys, read.values
    if not pruning.fraction:
        slots = keys.shape[2]
        video = jnp.zeros((keys.shape[0], slots), bool)
        video = jax.vmap(lambda row, at: row.at[at].set(True, mode="drop"))(
            video, batch.video_slots
        )
        video = jnp.broadcast_to(video[:, None], keys.shape[:3])
        return with_capacity(keys, values, lengths.capacity), video
    source, video = _kept(keys, values, layer, batch, pruning, lengths)
    keys, values = (jnp.take_along_axis(a, source[..., None], axis=2) for a in (keys, values))
    return with_capacity(keys, values, lengths.capacity), video


def _without_video(cache: LayerCache, video: jax.Array) -> LayerCache:
    slots = video.shape[-1]  # the cache goes on, with room for the answer
    values = jnp.where(video[..., None], 0, cache.values[:, :, :slots])
    return cache.replace(values=cache.values.at[:, :, :slots].set(values))


def _kept(keys, values, layer, batch, pruning, lengths):
    """Which slot each new slot takes, and which hold video: [B, K, length] both."""

    def head(keys, values, key, slots, real, drops):
        scores = prune.token_scores(
            keys[slots], values[slots], pruning.policy, key, drops.fixed_score
        )
        drop = prune.dropped_tokens(scores, drops.group, drops.group_start, drops.group_drop)
        return prune.kept_slots(drop, slots, real, lengths.prompt)

    def row(keys, values, key, slots, real, drops):
        key = jax.random.fold_in(jax.random.fold_in(key, loop.PRUNE), layer)
        keys_of_heads = jax.vmap(lambda h: jax.random.fold_in(key, h))(jnp.arange(keys.shape[0]))
        return jax.vmap(head, in_axes=(0, 0, 0, None, None, None))(
            keys, values, keys_of_heads, slots, real, drops
        )

    real = jnp.arange(keys.shape[2])[None] >= batch.starts[:, None]
    return jax.vmap(row)(
        keys, values, answer_keys(batch.seeds), batch.video_slots, real, batch.drops
    )


def _context(cache, video, start, batch, lengths, settings) -> DecodeContext:
    """Gathers what stays the same: the last layer's video slots and their values."""
    count = lengths.video if settings.controlled else 0
    slots = jnp.argsort(~video, axis=-1, stable=True)[..., :count].astype(jnp.int32)
    mask = jnp.take_along_axis(video, slots, axis=-1)
    slots = jnp.where(mask, slots, 0)
    values = jnp.take_along_axis(cache.last.values, slots[..., None], axis=2)
    values = jnp.where(mask[..., None], values, 0)
    return DecodeContext(
        starts=start,
        seeds=batch.seeds,
        numbers=batch.numbers,
        video_slots=slots,
        video_mask=mask,
        video_values=values,
        value_norm=jnp.sqrt(jnp.sum(jnp.square(values.astype(jnp.float32)), axis=(1, 2, 3))),
    )


def _first_state(cache, context, batch, lengths, settings, vocabulary) -> DecodeState:
    rows, width = batch.token_ids.shape[0], context.video_values.shape[-1]

    def controller(key, mask):
        key = jax.random.fold_in(key, loop.DIRECTION)
        return control.init(mask, width, key, settings.controller)

    return DecodeState(
        cache=cache,
        controller=jax.vmap(controller)(answer_keys(batch.seeds), context.video_mask),
        token=jnp.zeros((rows,), jnp.int32),
        position=batch.next_positions,
        slot=jnp.int32(lengths.prompt),
        step=jnp.int32(0),
        done=jnp.zeros((rows,), bool),
        seen=_seen_ids(batch, vocabulary) if settings.sampling.repetition_penalty != 1 else None,
    )


def _seen_ids(batch, vocabulary):
    """[B, V] bool: ids in each prompt; padding sets none."""
    real = jnp.arange(batch.token_ids.shape[1])[None] >= batch.starts[:, None]
    ids = jnp.where(real, batch.token_ids, vocabulary)
    return jax.vmap(lambda row: jnp.zeros((vocabulary,), bool).at[row].set(True, mode="drop"))(ids)
