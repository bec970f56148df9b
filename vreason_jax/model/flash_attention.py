"""Attention of a piece of a prompt as one kernel, which keeps scores out of a device's memory.

Dao et al. 2022, "FlashAttention". Written in Pallas, for TPUs and for GPUs: what a block of keys
adds is one function, which the form without a kernel (model/attention.py) uses too. On a TPU the
blocks of a row of the grid come one after the other, on a GPU a loop of the kernel takes them.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas import triton as plgpu
from jax.sharding import Mesh

from vreason_jax.model.attention import Running, held
from vreason_jax.model.cache import LayerCache

_TPU_BLOCKS = 512, 512  # queries and slots at a time: their scores and products fit VMEM
_GPU_BLOCKS = 128, 64


def flash_context(
    query: jax.Array, cache: LayerCache, bounds: jax.Array, mesh: Mesh, *, interpret: bool = False
) -> jax.Array:
    """Returns the context of `attention.causal_context`, where `kernels.read_pieces`.

    Every device takes its own rows and heads.

    Args:
      query: [B, K, G, T, H]. cache: of S slots, those of the T tokens included.
      bounds: [B, 5] int32, the first token's slot and then those of `held`.
    """
    platform = mesh.devices.flat[0].platform
    kernel = _on_tpu if platform == "tpu" else _on_gpu
    rows = "data" if query.shape[0] % mesh.shape["data"] == 0 else None
    heads = jax.P(rows, "model")
    return jax.shard_map(
        functools.partial(kernel, interpret=interpret),
        mesh=mesh,
        in_specs=(heads, heads, heads, jax.P(rows)),
        out_specs=heads,
        check_vma=False,
    )(query, cache.keys, cache.values, bounds)


def _on_gpu(query, keys, values, bounds, *, interpret=False):
    batch, heads, groups, length, width = query.shape
    rows = math.gcd(length, _GPU_BLOCKS[0])

    def kernel(bounds, query, keys, values, out):
        start, *held_by = (bounds[number] for number in range(bounds.shape[0]))
        first = start + pl.program_id(2) * rows % length

        def attend(number, running):
            at = pl.ds(number * slots, slots)
            seen = _seen(first, number * slots, (rows, slots), held_by)
            return running.over(query[...], keys[:, at], values[at, :], seen)

        slots = _GPU_BLOCKS[1]
        blocks = pl.cdiv(first + rows, slots)
        running = lax.fori_loop(0, blocks, attend, Running.empty((rows, width)))
        out[...] = (running.context / running.total).astype(out.dtype)

    flat = query.reshape(batch, heads, groups * length, width)
    own = pl.BlockSpec((None, None, rows, width), lambda b, k, r: (b, k, r, 0))
    whole = lambda a: pl.BlockSpec((None, None, *a.shape[2:]), lambda b, k, r: (b, k, 0, 0))  # noqa: E731
    context = pl.pallas_call(
        kernel,
        grid=(batch, heads, groups * length // rows),
        in_specs=[
            pl.BlockSpec((None, bounds.shape[1]), lambda b, k, r: (b, 0)),
            own,
            whole(keys),
            whole(values),
        ],
        out_specs=own,
        out_shape=jax.ShapeDtypeStruct(flat.shape, query.dtype),
        compiler_params=plgpu.CompilerParams(num_warps=8 if width > 64 else 4, num_stages=2),
        interpret=interpret,
        name="flash_attention",
    )(bounds, flat, keys, values)
    return context.reshape(query.shape)


def _on_tpu(query, keys, values, bounds, *, interpret=False):
    batch, heads, groups, length, width = query.shape
    rows, slots = math.gcd(length, _TPU_BLOCKS[0]), _TPU_BLOCKS[1]

    def first(bounds, b, r):
        return bounds[b, 0] + r * rows % length

    def blocks(bounds, b, r):
        return pl.cdiv(first(bounds, b, r) + rows, slots)

    def kernel(bounds, query, keys, values, out, *state):
        b, r, number = pl.program_id(0), pl.program_id(2), pl.program_id(3)

        @pl.when(number == 0)
        def _():
            for ref, begin in zip(state, Running.empty((rows, width)), strict=True):
                ref[...] = begin

        @pl.when(number < blocks(bounds, b, r))
        def _():
            held_by = [bounds[b, at] for at in range(1, bounds.shape[1])]
            seen = _seen(first(bounds, b, r), number * slots, (rows, slots), held_by)
            running = Running(*(ref[...] for ref in state))
            running = running.over(query[...], keys[...], values[...], seen)
            for ref, now in zip(state, running, strict=True):
                ref[...] = now

        @pl.when(number == pl.num_programs(3) - 1)
        def _():
            out[...] = (state[2][...] / state[1][...]).astype(out.dtype)

    def at(b, r, number, bounds):  # blocks behind the last one are not fetched
        return jnp.minimum(number, blocks(bounds, b, r) - 1)

    flat = query.reshape(batch, heads, groups * length, width)
    own = pl.BlockSpec((None, None, rows, width), lambda b, k, r, n, _: (b, k, r, 0))
    context = pl.pallas_call(
        kernel,
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=1,
            grid=(batch, heads, groups * length // rows, keys.shape[3] // slots),
            in_specs=[
                own,
                pl.BlockSpec(
                    (None, None, width, slots), lambda b, k, r, n, c: (b, k, 0, at(b, r, n, c))
                ),
                pl.BlockSpec(
                    (None, None, slots, width), lambda b, k, r, n, c: (b, k, at(b, r, n, c), 0)
                ),
            ],
            out_specs=own,
            scratch_shapes=[pltpu.VMEM((rows, n), jnp.float32) for n in (1, 1, width)],
        ),
        out_shape=jax.ShapeDtypeStruct(flat.shape, query.dtype),
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "parallel", "arbitrary")
        ),
        interpret=interpret,
        name="flash_attention",
    )(bounds, flat, keys, values)
    return context.reshape(query.shape)


def _seen(first, first_slot, shape, held_by):
    """Whether each of some queries, one a slot from `first` on, sees each of some slots."""
    own = first + lax.broadcasted_iota(jnp.int32, shape, 0)
    slots = first_slot + lax.broadcasted_iota(jnp.int32, shape, 1)
    return (slots <= own) & held(slots, *held_by)
