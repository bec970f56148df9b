"""The decoder: `body` (the first L-1 layers) and, beside it, `last`.

The method differentiates through `last`, the norm and the head alone, which is why they have their
own functions: `last_step` ends with the attention, `last_logits` does the rest.
"""

import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from vreason_jax.model import kernels, rope
from vreason_jax.model.attention import Layout, causal_context, step_context, step_weights
from vreason_jax.model.cache import KVCache, write_slot, write_slots
from vreason_jax.model.config import TextConfig
from vreason_jax.model.layers import Linear, Norm, SwiGLU
from vreason_jax.model.products import linear

Rotation = tuple[jax.Array, jax.Array]  # cosines and sines [B, T, H]


class Attention(nnx.Module):
    """Grouped-query attention."""

    def __init__(self, config: TextConfig, dtype: jnp.dtype, *, int8: bool):
        self.config = config
        # By key/value head, as devices share them: its queries, its key, its value.
        joined = config.kv_heads, config.heads // config.kv_heads + 2, config.head_width
        self.qkv = Linear(joined, config.width, bias=config.qkv_bias, dtype=dtype, int8=int8)
        inner = config.heads * config.head_width
        self.o = Linear(config.width, inner, bias=False, dtype=dtype, int8=int8)
        self.q_norm, self.k_norm = (
            Norm(config.head_width, eps=config.norm_eps, dtype=dtype) if config.qk_norm else None
            for _ in range(2)
        )

    def inputs(self, x: jax.Array, rotation: Rotation) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns query [B, K, G, T, H] and keys and values [B, K, T, H] of x [B, T, D]."""
        joined = self.joined(x)
        turned = rope.rotate(joined[:, :, :-1], *(table[:, None, None] for table in rotation))
        return turned[:, :, :-1], turned[:, :, -1], joined[:, :, -1]

    def joined(self, x: jax.Array) -> jax.Array:
        """Returns queries, key and value [B, K, G + 2, T, H] of x [B, T, D], before rope.

        Queries and key are normed where the model norms them.
        """
        joined = self.product(x)
        if self.q_norm is None or self.k_norm is None:
            return joined
        normed = self.q_norm(joined[:, :, :-2]), self.k_norm(joined[:, :, -2:-1])
        return jnp.concatenate([*normed, joined[:, :, -1:]], axis=2)

    def product(self, x: jax.Array) -> jax.Array:
        """Returns `joined` before the norms."""
        return self.qkv(x).transpose(0, 2, 3, 1, 4)

    def output(self, context: jax.Array, dtype: jnp.dtype) -> jax.Array:
        """Returns [B, T, D] for the heads' context [B, K, G, T, H]."""
        batch, _, _, length, _ = context.shape
        joined = context.astype(dtype).transpose(0, 3, 1, 2, 4).reshape(batch, length, -1)
        return self.o(joined)


class DecoderLayer(nnx.Module):
    """Attention and gated MLP, pre-normed and residual."""

    def __init__(self, config: TextConfig, dtype: jnp.dtype, *, int8: bool = False):
        self.input_norm = Norm(config.width, eps=config.norm_eps, dtype=dtype)
        self.attention = Attention(config, dtype, int8=int8)
        self.post_norm = Norm(config.width, eps=config.norm_eps, dtype=dtype)
        self.mlp = SwiGLU(config.width, config.mlp_width, bias=False, dtype=dtype, int8=int8)

    def inputs(self, x: jax.Array, rotation: Rotation) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns query, keys and values of x [B, T, D], as `Attention.inputs`."""
        return self.attention.inputs(self.input_norm(x), rotation)

    def finish(self, x: jax.Array, context: jax.Array) -> jax.Array:
        """Returns the layer's output [B, T, D] from its input and its heads' context."""
        x = x + self.attention.output(context, x.dtype)
        return x + self.mlp(self.post_norm(x))


class Decoder(nnx.Module):
    """Embedding, layers, final norm and head."""

    def __init__(self, config: TextConfig, dtype: jnp.dtype):
        self.config = config
        shape = (config.vocabulary, config.width)
        self.embedding = nnx.Param(jnp.zeros(shape, dtype))
        # The method differentiates through the last layer, which so stays as it is stored.
        layers = [DecoderLayer(config, dtype, int8=config.int8) for _ in range(config.layers - 1)]
        self.body = nnx.List(layers)
        self.last = DecoderLayer(config, dtype)
        self.norm = Norm(config.width, eps=config.norm_eps, dtype=dtype)
        self.head = None if config.tied else nnx.Param(jnp.zeros(shape, dtype))

    def embed(self, token_ids: jax.Array) -> jax.Array:
        """Returns [B, T, D] for token ids [B, T]."""
        return self.embedding[...][token_ids]

    def rotation(self, positions: jax.Array, dtype: jnp.dtype) -> Rotation:
        """Returns the M-RoPE cosines and sines for positions [3, B, T]."""
        config = self.config
        return rope.text_rope(
            positions, config.head_width, config.rope_theta, config.rope_axes, dtype
        )

    def logits(self, x: jax.Array) -> jax.Array:
        """Returns float32 logits [..., V] of hidden states x [..., D] before the final norm."""
        return self.read_out(self.norm(x))

    def read_out(self, x: jax.Array) -> jax.Array:
        """Returns float32 logits [..., V] of hidden states x [..., D] behind the final norm."""
        head = self.embedding if self.head is None else self.head
        return linear(x, head[...], out_dtype=jnp.float32)

    def read(
        self,
        x: jax.Array,
        rotation: Rotation,
        cache: KVCache,
        start: jax.Array,
        layout: Layout,
        mesh: Mesh | None = None,
        stacked: Sequence[jax.Array] = (),
    ) -> tuple[jax.Array, KVCache]:
        """Returns the last layer's input [B, T, D] of T prompt tokens, and the cache with them.

        Of the last layer only keys and values are computed: nobody reads its output before the
        prompt's last token, which the first step of decoding feeds.

        Args:
          x: embeddings [B, T, D]. rotation: of their positions.
          start: int32, the slot of the first token; they are written from there on.
          mesh: that all of it lies on (see `causal_context`).
          stacked: [B, T, D] each, what is added behind the first, the second, ... layer.
        """
        caches = []
        added = itertools.chain(stacked, itertools.repeat(None))
        for layer, layer_cache, more in zip(self.body, cache.body, added, strict=False):
            x, layer_cache = read_layer(layer, x, rotation, layer_cache, start, layout, mesh)
            x = x if more is None else x + more
            caches.append(layer_cache)
        _, keys, values = self.last.inputs(x, rotation)
        return x, KVCache(body=tuple(caches), last=write_slots(cache.last, keys, values, start))

    def body_step(
        self,
        x: jax.Array,
        rotation: Rotation,
        cache: KVCache,
        slot: jax.Array,
        mask: jax.Array,
        mesh: Mesh | None = None,
    ) -> tuple[jax.Array, KVCache]:
        """Returns one token's hidden state [B, 1, D] after the body, and the cache with it.

        Args:
          x: [B, 1, D]. slot: int32, where the token's keys and values go.
          mask: [B, S] bool, the slots before the token that it attends to.
          mesh: that all of it lies on. Without one there are no kernels (see `kernels`).
        """
        caches = []
        for layer, layer_cache in zip(self.body, cache.body, strict=True):
            x, layer_cache = body_layer(layer, x, rotation, layer_cache, slot, mask, mesh)
            caches.append(layer_cache)
        return x, cache.replace(body=tuple(caches))

    def last_step(
        self, x: jax.Array, rotation: Rotation, cache: KVCache, slot: jax.Array, mask: jax.Array
    ) -> tuple[jax.Array, jax.Array, KVCache]:
        """Returns the last layer's attention weights, its context without delta, and the cache.

        Weights [B, K, G, S] float32 over the slots before the token, context [B, K, G, 1, H]
        float32; neither depends on the value delta. Args as `body_step`.
        """
        query, key, value = self.last.inputs(x, rotation)
        weights, own = step_weights(query, cache.last.keys, key, mask)
        context = step_context(weights, own, cache.last.values, value)
        last = write_slot(cache.last, key, value, slot, after=context)
        return weights, context, cache.replace(last=last)

    def last_logits(self, x: jax.Array, context: jax.Array) -> jax.Array:
        """Returns float32 logits [B, V] of one token from the last layer's input and context.

        The tail of the network: from the context on everything is float32, whatever the dtype of
        the weights, as what the value delta changes is far below bfloat16's resolution.
        """
        with jax.named_scope("last_layer"):
            x = self.last.finish(x.astype(jnp.float32), context)
        return self.logits(x)[:, 0]


# Programs of their own to JAX, so that layers, which are alike, are traced and lowered once. XLA
# puts them back in line.
@functools.partial(jax.jit, static_argnames="mesh")
def read_layer(layer, x, rotation, cache, start, layout, mesh):
    """Returns one body layer's output for T prompt tokens, and its cache; see `Decoder.read`."""
    query, keys, values = layer.inputs(x, rotation)
    cache = write_slots(cache, keys, values, start)
    return layer.finish(x, causal_context(query, cache, start, layout, mesh)), cache


@functools.partial(jax.jit, static_argnames="mesh")
def body_layer(layer, x, rotation, cache, slot, mask, mesh):
    """Returns one body layer's output for one token, and its cache; see `Decoder.body_step`."""
    if mesh is not None and kernels.take_steps(mesh, x, layer.attention.config.head_width):
        return _layer_in_kernels(layer, x, rotation, cache, slot, mask, mesh)
    query, key, value = layer.inputs(x, rotation)
    weights, own = step_weights(query, cache.keys, key, mask)
    context = step_context(weights, own, cache.values, value)
    cache = write_slot(cache, key, value, slot, after=context)
    return layer.finish(x, context), cache


def _layer_in_kernels(layer, x, rotation, cache, slot, mask, mesh):
    from vreason_jax.model import step_kernels

    def normed(x, norm):
        return step_kernels.rms_norm(x, norm.weight[...], norm.eps, mesh)

    heads = layer.attention
    norms = () if heads.q_norm is None else (heads.q_norm.weight[...], heads.k_norm.weight[...])
    context, cache = step_kernels.attend(
        heads.product(normed(x, layer.input_norm)),
        rotation,
        cache,
        slot,
        mask,
        mesh,
        norms=norms,
        eps=heads.config.norm_eps,
    )
    x = x + layer.attention.output(context, x.dtype)
    return x + layer.mlp(normed(x, layer.post_norm)), cache
