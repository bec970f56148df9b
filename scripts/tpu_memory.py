"""Prints the memory of the 7B model's programs on each chip of a TPU slice, without the slice.

    JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 python scripts/tpu_memory.py
    JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 python scripts/tpu_memory.py --topology v5e:2x2

Programs are compiled ahead of time by libtpu for a described topology; the compiler's own account
of their buffers is real; times are not measured.
"""

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vreason_jax.config import ControllerConfig, RunConfig, SamplingConfig
from vreason_jax.decoding.ladder import DECODE_CHUNK
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.reading import read_piece
from vreason_jax.decoding.state import row_shardings
from vreason_jax.engine.rows import PromptRows
from vreason_jax.engine.start import start
from vreason_jax.model.cache import KVCache, LayerCache
from vreason_jax.model.config import ModelConfig
from vreason_jax.model.qwen25_vl import Qwen25VL, abstract_model
from vreason_jax.runtime.mesh import AXES, parameter_sharding
from vreason_jax.runtime.names import dotted

sys.path.insert(0, str(Path(__file__).parent))
import bench_shapes

TOPOLOGY = "v5e:2x2"
VIDEO_TOKENS, CAPACITY = 6144, 8192


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topology", default=TOPOLOGY, help=f"slice to compile for [{TOPOLOGY}]")
    topology = parser.parse_args().topology
    for kind in ("decode", "prefill"):
        for objective in ("none", "switch"):
            figures = measure(kind, objective, topology)
            sizes = {
                name: f"{value / 1e6:.1f} MB" for name, value in figures.items() if value > 1e3
            }
            print(kind, objective, sizes, f"compiled in {figures['seconds']:.0f} s", flush=True)


def measure(kind: str, objective: str, topology: str = TOPOLOGY) -> dict[str, float]:
    """Returns bytes per chip (temporary, weights and other arguments, total) of a compiled program.

    `kind` is "decode" (a chunk of tokens) or "prefill"; 6,144 video tokens, a cache of 8,192 slots.
    """
    devices = np.asarray(topologies.get_topology_desc(topology, platform="tpu").devices)
    mesh = Mesh(devices.reshape(1, -1), AXES, axis_types=(AxisType.Auto,) * 2)
    config = bench_shapes.model_config("7b")
    begin = time.perf_counter()
    compiled = _lowered(kind, objective, config, mesh).compile()
    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return {
        "temporary": memory.temp_size_in_bytes,
        "arguments": memory.argument_size_in_bytes,
        "total": memory.temp_size_in_bytes + held - memory.alias_size_in_bytes,
        "seconds": time.perf_counter() - begin,
    }


def _lowered(kind: str, objective: str, config: ModelConfig, mesh: Mesh):
    question = bench_shapes.synthetic_question(config, VIDEO_TOKENS)
    rows = PromptRows.of([question.prompt])
    decoder = _sharded_model(config, mesh).decoder
    shape = (1, config.text.kv_heads, CAPACITY, config.text.head_width)
    slots = jax.ShapeDtypeStruct(shape, jnp.bfloat16)
    layer = LayerCache(keys=slots, values=slots)
    cache = KVCache(body=(layer,) * (config.text.layers - 1), last=layer)
    if kind == "prefill":
        piece = next(rows.shared_pieces([np.arange(VIDEO_TOKENS)]))
        block = jax.ShapeDtypeStruct((1024, config.text.width), jnp.bfloat16)
        blocks = _whole((block,) * 4, mesh)
        piece, layout = _by_rows((piece, rows.layout(whole=False)), mesh, heads=False)
        return read_piece.lower(decoder, _by_rows(cache, mesh), piece, layout, blocks, mesh=mesh)
    controller = ControllerConfig(objective=objective)
    run = RunConfig(controller=controller, sampling=SamplingConfig(max_new_tokens=1024))
    here = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), AXES, axis_types=(AxisType.Auto,) * 2)
    started = start(decoder, cache, rows, run, np.zeros((1, 2), np.uint32), here)
    settings = dataclasses.replace(started.settings, mesh=mesh)
    context, state = _by_rows((started.context, started.state), mesh)
    return decode_chunk.lower(decoder, context, state, settings=settings, steps=DECODE_CHUNK)


def _sharded_model(config: ModelConfig, mesh: Mesh) -> Qwen25VL:
    graph, state = nnx.split(abstract_model(config, jnp.bfloat16))
    flat = [
        (path, leaf.replace(_struct(leaf, parameter_sharding(dotted(path), leaf.shape, mesh))))
        for path, leaf in nnx.to_flat_state(state)
    ]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def _whole(tree, mesh: Mesh):
    return jax.tree.map(lambda leaf: _struct(leaf, NamedSharding(mesh, PartitionSpec())), tree)


def _by_rows(tree, mesh: Mesh, **options):
    """Everything as `place` lays it: heads over `model`."""
    return jax.tree.map(_struct, tree, row_shardings(tree, mesh, 1, **options))


def _struct(leaf, sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


if __name__ == "__main__":
    main()
