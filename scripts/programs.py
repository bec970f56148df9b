"""Prints what a model's programs are on each chip of a TPU slice or GPU, without one.

    JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 python scripts/programs.py
    JAX_PLATFORMS=cpu python scripts/programs.py --device h100

Programs are compiled ahead of time for described devices. The compiler's own account of their
buffers is real, and so are the kernels, though a GPU's products are not tuned; times are not
measured.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import AxisType, Mesh

from vreason_jax.command_line import exit_code, given_path, positive_integer
from vreason_jax.errors import UserError
from vreason_jax.model.config import ModelConfig
from vreason_jax.planning import program_text
from vreason_jax.planning.estimate import Load
from vreason_jax.planning.programs import lowered, memory_of
from vreason_jax.runtime.mesh import AXES

sys.path.insert(0, str(Path(__file__).parent))
import bench_shapes
from described_devices import described_devices

DEVICE, SHAPE = "v5e:2x2", "7b"
PROGRAMS = "decode_none", "decode_switch", "prefill_none"
LOAD = Load(video_tokens=6144, max_new_tokens=1024, rows=1)  # a cache of 8,192 slots


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default=DEVICE, help=f"a TPU slice, or h100:N, to compile for [{DEVICE}]")
    add("--shape", default=SHAPE, choices=bench_shapes.MODELS, help=f"the model's [{SHAPE}]")
    tokens = LOAD.video_tokens
    add("--video-tokens", type=positive_integer, default=tokens, help=f"of the question [{tokens}]")
    add("--programs", nargs="+", default=PROGRAMS, choices=PROGRAMS, help="which [all]")
    add("--save", type=given_path, metavar="DIR", help="write the programs as text")
    add("--json", action="store_true", help="print one JSON object a program")
    options = parser.parse_args()
    if options.save:
        try:
            options.save.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--save {options.save}: {error.strerror}") from None
    config = bench_shapes.model_config(options.shape)
    load = dataclasses.replace(LOAD, video_tokens=options.video_tokens)
    for name in options.programs:
        kind, objective = name.split("_")
        compiled, seconds = compile_program(kind, objective, options.device, config, load)
        if options.save:
            (options.save / f"{name}.txt").write_text(compiled.as_text())
        found = {"program": name, **figures(compiled, config), "seconds": round(seconds)}
        print(json.dumps(found) if options.json else shown(found), flush=True)


def figures(compiled, config: ModelConfig) -> dict:
    """Returns `memory_of` a program, and what its text says."""
    text = compiled.as_text()
    kernels = program_text.kernels(text)
    body = kernels.get("body", 0) / (config.text.layers - 1)
    return {
        **memory_of(compiled),
        "kernels": {**kernels, "body_layer": round(body, 1)},
        "collectives": program_text.collectives(text),
        "large_writes": program_text.large_writes(text, 64 * 2**20),
    }


def shown(found: dict) -> str:
    """Returns a program's figures as a person reads them."""
    sizes = ", ".join(f"{k} {found[k] / 1e6:.1f} MB" for k in ("temporary", "arguments", "total"))
    lines = [f"{found['program']}: {sizes}; compiled in {found['seconds']} s"]
    for name in ("kernels", "collectives", "large_writes"):
        if found[name]:
            lines.append(f"    {name}: " + ", ".join(f"{k} {n}" for k, n in found[name].items()))
    return "\n".join(lines)


def measure(
    kind: str,
    objective: str,
    device: str = DEVICE,
    layers: int | None = None,
    shape: str = SHAPE,
) -> dict:
    """Returns the `figures` of a program of a published model, or of one of so many layers."""
    config = bench_shapes.model_config(shape)
    if layers:
        config = dataclasses.replace(config, text=dataclasses.replace(config.text, layers=layers))
    return figures(compile_program(kind, objective, device, config)[0], config)


def compile_program(
    kind: str, objective: str, device: str, config: ModelConfig, load: Load = LOAD
) -> tuple[Any, float]:
    """Returns a compiled program and the seconds it took.

    `kind` is "decode" (a chunk of tokens) or "prefill" (a piece of a prompt).
    """
    devices = np.asarray(described_devices(device))
    mesh = Mesh(devices.reshape(1, -1), AXES, axis_types=(AxisType.Auto,) * 2)
    program = lowered(kind, objective, config, mesh, load)
    begin = time.perf_counter()
    return program.compile(), time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(exit_code(main))
