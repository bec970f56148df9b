"""Reads prompts into a cache, piece by piece, each piece one call of one program."""

import functools

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jax.sharding import Mesh

from vreason_jax.arrays import Array
from vreason_jax.decoding.state import row_shardings
from vreason_jax.model.attention import Layout
from vreason_jax.model.cache import KVCache, LayerCache, with_capacity
from vreason_jax.model.decoder import Decoder

TEXT = -1  # the media index of a text token


class Piece(struct.PyTreeNode):
    """T tokens of every row of a batch, and the slot that the first of them goes to."""

    token_ids: Array  # [B, T] int32
    positions: Array  # [B, 3, T] int32
    media_index: Array  # [B, T] int32, the token's row of the blocks, or TEXT
    start: Array  # [] int32


@functools.partial(jax.jit, static_argnames="mesh", donate_argnames="cache")
def read_piece(
    decoder: Decoder,
    cache: KVCache,
    piece: Piece,
    layout: Layout,
    blocks: tuple[jax.Array, ...],
    *,
    mesh: Mesh,
) -> KVCache:
    """Returns the cache with a piece of the prompts in it. Donates `cache`.

    `blocks` are embeddings [N, E x D] each of the vision tower (model/vision.py), one behind the
    other: the first part stands for the token, the others are added behind the first layers.
    """
    x = decoder.embed(piece.token_ids)
    index = piece.media_index[..., None]
    media = jnp.concatenate(blocks)[jnp.maximum(index[..., 0], 0)].astype(x.dtype)
    first, *others = jnp.split(media, 1 + decoder.config.stacked, axis=-1)
    x = jnp.where(index == TEXT, x, first)
    stacked = [jnp.where(index == TEXT, 0, part) for part in others]
    rotation = decoder.rotation(jnp.moveaxis(piece.positions, 1, 0), x.dtype)
    _, cache = decoder.read(x, rotation, cache, piece.start, layout, mesh, stacked)
    return _on(mesh, cache)


@functools.partial(jax.jit, static_argnames="mesh")
def take_rows(caches: tuple[KVCache, ...], index: jax.Array, *, mesh: Mesh) -> KVCache:
    """Returns a cache [B, ...] of the rows at `index` [B] int32 of the caches' together."""

    def taken(*arrays):
        return jnp.concatenate(arrays)[index]

    return _on(mesh, jax.tree.map(taken, *caches))


def resized(cache: KVCache, capacity: int, mesh: Mesh, *, free: bool = False) -> KVCache:
    """Returns the cache with so many slots, of which the first stay as they are.

    With `free` it frees what it replaces.

    Layer by layer, so that no second cache needs memory.
    """

    def one(layer: LayerCache) -> LayerCache:
        other = _resized_layer(layer, capacity=capacity, mesh=mesh)
        if free:
            jax.tree.map(lambda array: array.delete(), layer)
        return other

    return KVCache(body=tuple(map(one, cache.body)), last=one(cache.last))


@functools.partial(jax.jit, static_argnames=("capacity", "mesh"))
def _resized_layer(layer: LayerCache, *, capacity: int, mesh: Mesh) -> LayerCache:
    return _on(mesh, with_capacity(layer, capacity))


def _on(mesh: Mesh, tree):
    """Pins caches to the mesh."""
    rows = jax.tree.leaves(tree)[0].shape[0]
    return lax.with_sharding_constraint(tree, row_shardings(tree, mesh, rows))
