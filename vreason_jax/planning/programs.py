"""A plan's programs, compiled for TPUs that are described and not there: what the compiler says."""

import dataclasses
import importlib.util
import math
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vreason_jax.config import ControllerConfig, RunConfig, SamplingConfig
from vreason_jax.decoding.ladder import DECODE_CHUNK
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.reading import Piece, read_piece
from vreason_jax.decoding.state import placed_shapes
from vreason_jax.engine.rows import PromptRows
from vreason_jax.engine.start import start
from vreason_jax.engine.warm_up import blank_prompt
from vreason_jax.errors import UserError, one_line
from vreason_jax.families.model import Model
from vreason_jax.model.config import ModelConfig
from vreason_jax.planning import program_text
from vreason_jax.planning.devices import Devices
from vreason_jax.planning.estimate import BEFORE, PIECE, REST_PIECE, TEXT, Load, cache_shapes
from vreason_jax.planning.request import Request
from vreason_jax.runtime.checkpoint import build_model
from vreason_jax.runtime.int8 import scale_path, scale_sharding
from vreason_jax.runtime.mesh import AXES, parameter_sharding
from vreason_jax.runtime.names import parameters
from vreason_jax.runtime.sharing import shared_config

KINDS = ("decode", "prefill")
_BLOCKS = 4  # of a clip's embeddings, that a piece of a prompt is given
# What libtpu takes for the machine where there is none of Google's; it complains of what it misses.
# A description needs no chip: another process may hold the lock on those that are there.
_NO_MACHINE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def compiled_figures(request: Request) -> dict[str, dict[str, int]]:
    """Returns `memory_of` the programs of KINDS on each device, and how many kernels they have.

    Raises UserError where nothing compiles for the devices here.
    """
    sizes = request.sizes
    devices = described(request.devices)[: math.prod(sizes.values())]
    grid = np.asarray(devices).reshape([sizes[axis] for axis in AXES])
    mesh = Mesh(grid, AXES, axis_types=(AxisType.Auto,) * len(AXES))
    found = {}
    for kind in KINDS:
        try:
            compiled = lowered(kind, "switch", request.config, mesh, request.load).compile()
        except jax.errors.JaxRuntimeError as error:
            raise UserError(f"--compile: {kind}: {one_line(error)}") from None
        kernels = program_text.kernels(compiled.as_text() or "")
        found[kind] = {**memory_of(compiled), "kernels": sum(kernels.values())}
    return found


def lowered(kind: str, objective: str, config: ModelConfig, mesh: Mesh, load: Load):
    """Returns a program of KINDS for a mesh of described devices, not yet compiled."""
    shared = shared_config(config, mesh.shape["model"])
    decoder = _placed_model(shared, mesh).decoder
    count = mesh.shape["data"] * (load.rows if kind == "decode" else 1)
    prompt = blank_prompt(load.video_tokens, TEXT - BEFORE, before=BEFORE + load.marks)
    rows, cache = PromptRows.of([prompt] * count), cache_shapes(shared, load, count)
    if kind == "prefill":
        block = jax.ShapeDtypeStruct(
            (PIECE, (1 + shared.text.stacked) * shared.text.width), jnp.dtype(shared.dtype)
        )
        whole = NamedSharding(mesh, PartitionSpec())
        blocks = jax.tree.map(lambda leaf: _struct(leaf, whole), (block,) * _BLOCKS)
        piece = _piece(count, PIECE if load.prompt >= PIECE else REST_PIECE)
        piece, layout = placed_shapes((piece, rows.layout()), mesh, count, heads=False)
        cache = placed_shapes(cache, mesh, count)
        return read_piece.lower(decoder, cache, piece, layout, blocks, mesh=mesh)
    run = RunConfig(
        controller=ControllerConfig(objective=objective),
        sampling=SamplingConfig(max_new_tokens=load.max_new_tokens),
    )
    here = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), AXES, axis_types=(AxisType.Auto,) * 2)
    started = start(decoder, cache, rows, run, np.zeros((count, 2), np.uint32), here)
    settings = dataclasses.replace(started.settings, mesh=mesh)
    context, state = placed_shapes((started.context, started.state), mesh, count)
    return decode_chunk.lower(decoder, context, state, settings=settings, steps=DECODE_CHUNK)


def memory_of(compiled) -> dict[str, int]:
    """Returns bytes on each device: temporary, weights and other arguments, total."""
    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return {
        "temporary": memory.temp_size_in_bytes,
        "arguments": memory.argument_size_in_bytes,
        "total": memory.temp_size_in_bytes + held - memory.alias_size_in_bytes,
    }


def check_compilable(devices: Devices) -> None:
    """Raises UserError where the devices are no TPUs, or libtpu is not there."""
    if not devices.kind.is_tpu:
        raise UserError(
            f"--compile: expected TPUs, got {devices}: JAX describes GPUs by no public interface; "
            "in a checkout scripts/programs.py does so"
        )
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "--compile: expected libtpu; install it with pip install 'vreason-jax[tpu]'"
        )


def described(devices: Devices) -> list:
    """Returns the devices of a TPU slice, described by libtpu; raises UserError where it cannot."""
    for name, value in _NO_MACHINE.items():
        os.environ.setdefault(name, value)
    alone = {"chips_per_host_bounds": (1, 1, 1)} if devices.count == 1 else {}
    try:
        described = topologies.get_topology_desc(devices.topology, platform="tpu", **alone)
    except Exception as error:  # JAX's own, depending on release
        raise UserError(f"--compile: {devices.topology}: {one_line(error)}") from None
    return list(described.devices)


def _piece(rows: int, length: int) -> Piece:
    ids, positions = np.zeros((rows, length), np.int32), np.zeros((rows, 3, length), np.int32)
    return Piece(ids, positions, ids, np.int32(0))


def _placed_model(config: ModelConfig, mesh: Mesh) -> Model:
    leaves = {}
    for each in parameters(config):
        sharding = parameter_sharding(each.cut, each.shape, mesh)
        dtype = jnp.dtype(jnp.int8 if each.int8 else config.dtype)
        leaves[each.path] = jax.ShapeDtypeStruct(each.shape, dtype, sharding=sharding)
        if each.int8:
            leaves[scale_path(each.path)] = jax.ShapeDtypeStruct(
                each.shape[:-1], jnp.float32, sharding=scale_sharding(sharding)
            )
    return build_model(config, leaves)


def _struct(leaf, sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
