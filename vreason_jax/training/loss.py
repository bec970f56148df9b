"""The weighted cross entropy of replies, through the project's own model.

Prompts are padded on the left and replies on the right, so that all replies begin at the same slot,
as in decoding. Only reply positions need the last layer and the head.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from vreason_jax.families.model import Model
from vreason_jax.families.registry import family_of
from vreason_jax.model.attention import MASKED
from vreason_jax.model.vision import Frames
from vreason_jax.model.windows import FramePlan
from vreason_jax.video.patches import Normalization

# Queries attend in blocks of this many, each to the keys up to its own end: half of what a causal
# mask throws away is never computed.
_QUERY_BLOCK = 80


@struct.dataclass
class Batch:
    """Prompts of one length and replies of one length.

    Each row has one video, all on one grid, or none has.
    """

    pixels: jax.Array  # uint8 [B, t, h * w, patch values] as of video/patches.py; or [B, 0]
    token_ids: jax.Array  # int32 [B, S]
    positions: jax.Array  # int32 [B, 3, S]
    starts: jax.Array  # int32 [B], first real slot
    video_slots: jax.Array  # int32 [B, M], the slots of the video tokens
    weights: jax.Array  # float32 [B, T] of the reply's tokens, the last T slots; 0 at padding


def reply_loss(model: Model, batch: Batch, plan: FramePlan) -> tuple[jax.Array, jax.Array]:
    """Returns the sum of weight x cross entropy over the reply's tokens, and that of the weights.

    These are sums, so that the shares of several devices add up to the loss of the whole batch.
    """
    length = batch.weights.shape[1]
    logits = reply_logits(model, batch, plan)
    targets = batch.token_ids[:, -length:]
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    losses = jax.nn.logsumexp(logits, axis=-1) - chosen
    return jnp.sum(losses * batch.weights), jnp.sum(batch.weights)


def reply_logits(model: Model, batch: Batch, plan: FramePlan) -> jax.Array:
    """Returns float32 logits [B, T, V]: entry t predicts the reply's token t."""
    decoder, length = model.decoder, batch.weights.shape[1]
    x, stacked = _embed(model, batch, plan)
    rotation = decoder.rotation(jnp.moveaxis(batch.positions, 1, 0), x.dtype)
    for layer, more in itertools.zip_longest(decoder.body, stacked):
        query, keys, values = layer.inputs(x, rotation)
        x = layer.finish(x, _causal_context(query, keys, values, batch.starts, 0))
        x = x if more is None else _at_video(x, batch).add(more)
    query, keys, values = decoder.last.inputs(x, rotation)
    first = x.shape[1] - length - 1  # the slot before the reply
    context = _causal_context(query[:, :, :, first:-1], keys, values, batch.starts, first)
    return decoder.logits(decoder.last.finish(x[:, first:-1], context))


def _frames(pixels: jax.Array, plan: FramePlan, normalization: Normalization) -> Frames:
    """All temporal patches [B, t, h * w, patch values], laid out by the plan of their size."""
    values = pixels.shape[-1]
    count, (rows, slots) = pixels.shape[0] * pixels.shape[1], plan.window.shape
    units = plan.unit_of_slot.size
    per_unit = rows * slots // units
    laid = pixels.reshape(count, -1, per_unit * values)[:, plan.unit_of_slot]
    mean, deviation = (
        jnp.broadcast_to(np.asarray([a], np.float32) * np.float32(255), (count, 3))
        for a in (normalization.mean, normalization.std)
    )
    window, row, column = (
        jnp.broadcast_to(jnp.asarray(a)[None], (count, rows, slots))
        for a in (plan.window, plan.row, plan.column)
    )
    first = units * np.arange(count, dtype=np.int32)[:, None]
    tokens = (first + jnp.asarray(plan.slot_of_unit)[None]).reshape(-1)
    laid = laid.reshape(count, rows, slots, values)
    size = jnp.tile(jnp.asarray([[plan.row.max(), plan.column.max()]]) + 1, (count, 1))
    return Frames(laid, mean, deviation, window, row, column, size, tokens)


def _embed(model, batch, plan):
    """Token embeddings with the videos' in their places, and what early layers are given there."""
    if not batch.pixels.size:
        return model.decoder.embed(batch.token_ids), []
    frames = _frames(batch.pixels, plan, family_of(model.config).media.normalization)
    parts = jnp.split(model.vision(frames), 1 + model.decoder.config.stacked, axis=-1)
    x = model.decoder.embed(batch.token_ids)
    video, *stacked = (a.reshape(*batch.video_slots.shape, -1).astype(x.dtype) for a in parts)
    return _at_video(x, batch).set(video), stacked


def _at_video(x, batch):
    rows = jnp.arange(len(x))[:, None]
    return x.at[rows, batch.video_slots]


def _causal_context(query, keys, values, starts, first):
    """Returns the context [B, K, G, T, H] of queries at the slots from `first` on.

    Batch and key heads form one axis, and so do queries and the heads that share keys. Forward and
    backward are then plain batched products, which are fast in XLA's CPU code.
    """
    batch, kv_heads, groups, length, width = query.shape
    query = query.reshape(batch * kv_heads, groups, length, width)
    keys, values = (a.reshape(batch * kv_heads, -1, width) for a in (keys, values))
    starts = jnp.repeat(starts, kv_heads)[:, None, None]
    contexts = []
    for begin in range(0, length, _QUERY_BLOCK):
        block = query[:, :, begin : begin + _QUERY_BLOCK]
        slots = first + begin + np.arange(block.shape[2])
        seen = np.arange(slots[-1] + 1)
        mask = (seen <= np.tile(slots, groups)[:, None])[None] & (seen[None, None] >= starts)
        attended = _attend(block, keys[:, : len(seen)], values[:, : len(seen)], mask)
        contexts.append(attended.reshape(batch, kv_heads, groups, -1, width))
    return jnp.concatenate(contexts, axis=3)


def _attend(query, keys, values, mask):
    rows, groups, length, width = query.shape
    scores = jnp.einsum("xth,xsh->xts", query.reshape(rows, groups * length, width), keys)
    scores = jnp.where(mask, scores * width**-0.5, MASKED)
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
    # Divided after the product with the values, which is 10 times narrower than the weights.
    totals = weights.sum(axis=-1, keepdims=True)
    context = jnp.einsum("xts,xsh->xth", weights, values)
    return context / jnp.broadcast_to(totals, context.shape)
