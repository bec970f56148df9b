"""Reads prompts: at once, or first what many questions share and later the rest of each."""

import jax
import jax.numpy as jnp
from flax import struct

from vreason_jax.model.cache import LayerCache
from vreason_jax.model.qwen25_vl import Qwen25VL


class ReadPrompt(struct.PyTreeNode):
    """Prompts padded on the left, as the model has read them; no method has acted yet."""

    layers: tuple[LayerCache, ...]  # L times keys and values [B, K, S, H]
    logits: jax.Array  # [B, V] float32, of the last slot


@jax.jit
def read_prompt(
    model: Qwen25VL,
    token_ids: jax.Array,
    positions: jax.Array,
    starts: jax.Array,
    media: list[jax.Array],
    media_slots: jax.Array,
) -> ReadPrompt:
    """Returns whole prompts read at once.

    Args:
      token_ids: [B, S] int32, padded on the left. positions: [3, B, S] int32.
      starts: [B] int32, first real slots.
      media: the vision tower's embeddings [M, D] of each video or image, in prompt order.
      media_slots: flat indices b * S + s of all media tokens, int32.
    """
    x = model.embed_prompt(token_ids, media, media_slots)
    return _read(model, x, positions, starts)


@jax.jit
def read_prefix(
    model: Qwen25VL,
    token_ids: jax.Array,
    positions: jax.Array,
    media: list[jax.Array],
    media_slots: jax.Array,
) -> tuple[LayerCache, ...]:
    """Returns keys and values [B, K, P, H], per layer, of the first P tokens of prompts.

    Args as `read_prompt`; nothing is padded.
    """
    starts = jnp.zeros((token_ids.shape[0],), jnp.int32)
    return read_prompt(model, token_ids, positions, starts, media, media_slots).layers


@jax.jit
def read_rest(
    model: Qwen25VL,
    prefix: tuple[LayerCache, ...],
    token_ids: jax.Array,
    positions: jax.Array,
    starts: jax.Array,
) -> ReadPrompt:
    """Returns prompts of S = P + R slots, of which `read_prefix` has read the first P tokens.

    The result has the layout of `read_prompt`: row b's prefix follows its `starts[b]` padded
    slots. Whatever stands in the padded columns of a row disturbs nothing.

    Args:
      prefix: [B, K, P, H] per layer.
      token_ids: [B, R] int32, the other tokens, padded on the left. positions: [3, B, R] int32.
      starts: [B] int32, how many columns of each row are padding.
    """
    return _read(model, model.decoder.embed(token_ids), positions, starts, prefix)


def _read(model, x, positions, starts, before=None) -> ReadPrompt:
    decoder = model.decoder
    outputs = decoder.prompt_layers(x, decoder.rotation(positions, x.dtype), starts, before)
    layers = tuple(LayerCache(keys=keys, values=values) for _, keys, values in outputs)
    return ReadPrompt(layers=layers, logits=decoder.logits(outputs[-1][0][:, -1]))
