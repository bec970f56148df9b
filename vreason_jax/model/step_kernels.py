"""Kernels of one token's layer on GPUs, where XLA would launch three times as many.

Attention of one token is two kernels: many programs take some slots of the cache each (Dao et al.
2023, "Flash-Decoding"), and what they found is joined. The first also turns the token's query and
key, and writes its key and value to the cache. Written in Pallas.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu
from jax.sharding import Mesh

from vreason_jax.model.attention import Running
from vreason_jax.model.cache import LayerCache

_BLOCK = 64  # slots that a program takes at a time
_PROGRAMS = 256  # that a GPU is given, about two for each of its units
_MOST_PARTS = 64  # of a head's slots
_ROWS = 16  # queries that a tensor core takes at least


def rms_norm(
    x: jax.Array, weight: jax.Array, eps: float, mesh: Mesh, *, interpret: bool = False
) -> jax.Array:
    """Returns `layers.rms_norm` of x [B, 1, D], whole on the devices of `model`."""

    def kernel(x, weight, out):
        at = jnp.arange(pl.next_power_of_2(width))
        inside = at < width
        wide = plgpu.load(x.at[at], mask=inside, other=0).astype(jnp.float32)
        scale = lax.rsqrt(jnp.sum(wide * wide) / width + eps)
        weights = plgpu.load(weight.at[at], mask=inside, other=0)
        plgpu.store(out.at[at], (wide * scale).astype(out.dtype) * weights, mask=inside)

    def normed(x, weight):
        row = pl.BlockSpec((None, None, width), lambda b: (b, 0, 0))
        return pl.pallas_call(
            kernel,
            grid=x.shape[:1],
            in_specs=[row, pl.BlockSpec((width,), lambda b: (0,))],
            out_specs=row,
            out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
            compiler_params=plgpu.CompilerParams(num_warps=8),
            interpret=interpret,
            name="rms_norm",
        )(x, weight)

    width = x.shape[-1]
    rows = jax.P(_rows(x, mesh))
    return jax.shard_map(
        normed, mesh=mesh, in_specs=(rows, jax.P()), out_specs=rows, check_vma=False
    )(x, weight)


def attend(
    joined: jax.Array,
    rotation: tuple[jax.Array, jax.Array],
    cache: LayerCache,
    slot: jax.Array,
    mask: jax.Array,
    mesh: Mesh,
    *,
    norms: tuple[jax.Array, ...] = (),
    eps: float = 0.0,
    interpret: bool = False,
) -> tuple[jax.Array, LayerCache]:
    """Returns one token's context [B, K, G, 1, H], in its dtype, and the cache with it at `slot`.

    Args:
      joined: [B, K, G + 2, 1, H], queries, key and value before they are normed and turned.
      rotation: cosines and sines [B, 1, H].
      mask: [B, S] bool, the slots before `slot` that the token sees.
      norms: weights [H] of the queries' and of the key's RMS norm, or none; `eps` is theirs.
    """
    rows = _rows(joined, mesh)
    heads, one = jax.P(rows, "model"), jax.P(rows)
    call = jax.shard_map(
        functools.partial(_attend, eps=eps, interpret=interpret),
        mesh=mesh,
        in_specs=(heads, one, one, heads, heads, jax.P(), one, *(jax.P() for _ in norms)),
        out_specs=(heads, heads, heads),
        check_vma=False,
    )
    context, keys, values = call(
        joined, *rotation, cache.keys, cache.values, slot[None], mask.astype(jnp.int8), *norms
    )
    return context, LayerCache(keys, values)


def _rows(x: jax.Array, mesh: Mesh) -> str | None:
    return "data" if x.shape[0] % mesh.shape["data"] == 0 else None


def _attend(joined, cosines, sines, keys, values, slot, mask, *norms, eps, interpret):
    batch, heads, width, slots = keys.shape
    groups = joined.shape[2] - 2
    # A power of two, as Triton wants it.
    parts = min(_MOST_PARTS, pl.next_power_of_2(pl.cdiv(_PROGRAMS, batch * heads)))
    share = pl.cdiv(slots, parts * _BLOCK) * _BLOCK
    joined, cosines, sines = joined[:, :, :, 0], cosines[:, 0], sines[:, 0]

    def row(array):
        return pl.BlockSpec((None, *array.shape[1:]), lambda b, k, n: (b, 0))

    def head(array):
        return pl.BlockSpec((None, None, *array.shape[2:]), lambda b, k, n: (b, k, 0, 0))

    def part(size):
        return pl.BlockSpec((None, None, None, groups, size), lambda b, k, n: (b, k, n, 0, 0))

    found = [(batch, heads, parts, groups, size) for size in (1, 1, width)]
    keys, values, *found = pl.pallas_call(
        functools.partial(_attend_part, groups=groups, share=share, eps=eps),
        grid=(batch, heads, parts),
        in_specs=[
            pl.BlockSpec((1,), lambda b, k, n: (0,)),
            *(row(array) for array in (mask, cosines, sines)),
            *(head(array) for array in (joined, keys, values)),
            *(pl.BlockSpec((width,), lambda b, k, n: (0,)) for _ in norms),
        ],
        out_specs=[head(keys), head(values), *(part(shape[-1]) for shape in found)],
        out_shape=[
            *(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in (keys, values)),
            *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in found),
        ],
        input_output_aliases={5: 0, 6: 1},
        compiler_params=plgpu.CompilerParams(num_warps=4, num_stages=2),
        interpret=interpret,
        name="attend_step",
    )(slot, mask, cosines, sines, joined, keys, values, *norms)
    context = pl.pallas_call(
        _join_parts,
        grid=(batch, heads, groups),
        in_specs=[
            pl.BlockSpec((None, None, parts, None, size), lambda b, k, g: (b, k, 0, g, 0))
            for size in (1, 1, width)
        ],
        out_specs=pl.BlockSpec((None, None, None, None, width), lambda b, k, g: (b, k, g, 0, 0)),
        out_shape=jax.ShapeDtypeStruct((batch, heads, groups, 1, width), joined.dtype),
        compiler_params=plgpu.CompilerParams(num_warps=4),
        interpret=interpret,
        name="join_step",
    )(*found)
    return context, keys, values


def _attend_part(slot, mask, cosines, sines, joined, keys, values, *others, groups, share, eps):
    """What a head's queries find in `share` slots, and in the first program in their own token."""
    *norms, new_keys, new_values, largest, total, context = others
    width, number, end = joined.shape[1], pl.program_id(2), slot[0]

    def turned(rows, columns, norm):
        wide = joined[rows, columns].astype(jnp.float32)
        scale = lax.rsqrt(jnp.sum(wide * wide, axis=-1, keepdims=True) / width + eps)

        def normed(columns):
            x = joined[rows, columns]
            return x if norm is None else (x * scale).astype(x.dtype) * norm[columns]

        other = normed((columns + width // 2) % width)
        sines_at = jnp.where(columns < width // 2, -sines[columns], sines[columns])
        return normed(columns) * cosines[columns] + other * sines_at

    shape = pl.next_power_of_2(max(groups, _ROWS)), width
    rows, columns = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    of_query, of_key = norms or (None, None)
    query = turned(jnp.minimum(rows, groups - 1), columns, of_query)
    key, value = turned(groups, jnp.arange(width), of_key), joined[groups + 1, :]
    own = jnp.sum(query.astype(jnp.float32) * key.astype(jnp.float32)[None], axis=1, keepdims=True)
    mine, none = number == 0, Running.empty(shape)
    running = Running(
        jnp.where(mine, own * width**-0.5, none.largest),
        jnp.where(mine, 1.0, none.total),
        jnp.where(mine, value.astype(jnp.float32)[None], none.context),
    )

    @pl.when(mine)
    def _():
        new_keys[:, end], new_values[end, :] = key, value

    first = number * share

    def attend(block, running):
        at = pl.ds(first + block * _BLOCK, _BLOCK)
        return running.over(query, keys[:, at], values[at, :], (mask[at] > 0)[None])

    slots = jnp.clip(end - first, 0, share)
    running = lax.fori_loop(0, pl.cdiv(slots, _BLOCK), attend, running)
    for ref, result in zip((largest, total, context), running, strict=True):
        at, to = (lax.broadcasted_iota(jnp.int32, result.shape, axis) for axis in (0, 1))
        plgpu.store(ref.at[at, to], result, mask=at < groups)


def _join_parts(largest, total, context, out):
    fade = jnp.exp(largest[...] - jnp.max(largest[...], axis=0, keepdims=True))
    joined = jnp.sum(context[...] * fade, axis=0) / jnp.sum(total[...] * fade)
    out[...] = joined.astype(out.dtype)
