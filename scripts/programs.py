"""Prints what a model's programs are on each chip of a TPU slice or GPU, without one.

    JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 python scripts/programs.py
    JAX_PLATFORMS=cpu python scripts/programs.py --device h100

Programs are compiled ahead of time for described devices. The compiler's own account of their
buffers is real, and so are the kernels, though a GPU's products are not tuned; times are not
measured.
"""

import argparse
import dataclasses
import math
import re
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
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
from vreason_jax.runtime.sharing import shared_config

sys.path.insert(0, str(Path(__file__).parent))
import bench_shapes
from described_devices import described_devices

DEVICE, SHAPE = "v5e:2x2", "7b"
VIDEO_TOKENS, CAPACITY = 6144, 8192
# What writes nothing of its own, or only says where something lies.
_NO_WRITES = {"parameter", "get-tuple-element", "tuple", "bitcast", "while", "conditional", "call"}
_OPERATION = re.compile(r"= \(?(\w+)\[([\d,]*)\]\S* ([\w-]+)\(")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default=DEVICE, help=f"a TPU slice, or h100:N, to compile for [{DEVICE}]")
    add("--shape", default=SHAPE, choices=bench_shapes.SHAPES, help=f"the model's [{SHAPE}]")
    add("--save", type=Path, metavar="DIR", help="write the programs as text")
    options = parser.parse_args()
    for kind in ("decode", "prefill"):
        for objective in ("none", "switch"):
            compiled, seconds = compile_program(kind, objective, options.device, options.shape)
            text = compiled.as_text()
            if options.save:
                options.save.mkdir(parents=True, exist_ok=True)
                (options.save / f"{kind}_{objective}.txt").write_text(text)
            sizes = ", ".join(f"{k} {v / 1e6:.1f} MB" for k, v in memory_of(compiled).items())
            print(f"{kind} {objective}: {sizes}; compiled in {seconds:.0f} s", flush=True)
            for name, count in large_writes(text, 64 * 2**20).items():
                print(f"    writes {count} times {name}")


def measure(kind: str, objective: str, device: str = DEVICE) -> dict[str, float]:
    """Returns `memory_of` a program: 6,144 video tokens, a cache of 8,192 slots."""
    return memory_of(compile_program(kind, objective, device)[0])


def compile_program(kind: str, objective: str, device: str, shape: str = SHAPE):
    """Returns a compiled program and the seconds it took.

    `kind` is "decode" (a chunk of tokens) or "prefill" (a piece of a prompt).
    """
    devices = np.asarray(described_devices(device))
    mesh = Mesh(devices.reshape(1, -1), AXES, axis_types=(AxisType.Auto,) * 2)
    config = shared_config(bench_shapes.model_config(shape), mesh.size)
    lowered = _lowered(kind, objective, config, mesh)
    begin = time.perf_counter()
    return lowered.compile(), time.perf_counter() - begin


def memory_of(compiled) -> dict[str, float]:
    """Returns bytes per chip: temporary, weights and other arguments, total."""
    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return {
        "temporary": memory.temp_size_in_bytes,
        "arguments": memory.argument_size_in_bytes,
        "total": memory.temp_size_in_bytes + held - memory.alias_size_in_bytes,
    }


def large_writes(text: str, elements: int) -> dict[str, int]:
    """Returns how often a program's text writes arrays of `elements` numbers and more, by kind."""
    found: dict[str, int] = {}
    fused = False
    for line in text.splitlines():
        if line.endswith("{") and "->" in line:
            fused = "fused_computation" in line or "fusion" in line.split("(")[0]
        match = _OPERATION.search(line)
        if not match or fused or match[3] in _NO_WRITES:
            continue
        if math.prod(int(size) for size in match[2].split(",") if size) >= elements:
            name = f"{match[1]}[{match[2]}] by {match[3]}"
            found[name] = found.get(name, 0) + 1
    return found


def _lowered(kind: str, objective: str, config: ModelConfig, mesh: Mesh):
    question = bench_shapes.synthetic_question(config, VIDEO_TOKENS)
    rows = PromptRows.of([question.prompt])
    decoder = _sharded_model(config, mesh).decoder
    sizes = 1, config.text.kv_heads, CAPACITY, config.text.head_width
    layer = LayerCache.of(jax.ShapeDtypeStruct, *sizes, jnp.bfloat16)
    cache = KVCache(body=(layer,) * (config.text.layers - 1), last=layer)
    if kind == "prefill":
        piece = next(rows.shared_pieces([np.arange(VIDEO_TOKENS)]))
        block = jax.ShapeDtypeStruct((1024, config.text.width), jnp.bfloat16)
        blocks = _whole((block,) * 4, mesh)
        piece, layout = _by_rows((piece, rows.layout()), mesh, heads=False)
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
