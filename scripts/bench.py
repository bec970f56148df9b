"""Times decoding, prefill, vision and V-Reason's overhead beside the bounds of the device.

    python scripts/bench.py                                       the 0.25b shape on this device
    python scripts/bench.py --against transformers                the same, beside torch
    python scripts/bench.py --gpu --out bench.json                all benchmarks for a GPU

Weights are random and made on the device; against transformers, both sides load one file.
"""

import argparse
import datetime
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vreason_jax.config import ControllerConfig, RunConfig, SamplingConfig
from vreason_jax.decoding.ladder import DECODE_CHUNK
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.engine.media import encode_media
from vreason_jax.families.model import Model, random_model
from vreason_jax.output.trace import library_versions

sys.path.insert(0, str(Path(__file__).parent))
import bench_shapes


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.gpu:
        arguments.shapes, arguments.dtype = "7b", "bfloat16"
        arguments.video_tokens, arguments.against = 4096, "transformers"
    report = {
        "date": datetime.date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "versions": library_versions(),
        "command": "python " + " ".join(sys.argv),
        "bound": measure_bound(jnp.dtype(arguments.dtype)),
        "shapes": {},
    }
    _show("bound", report["bound"])
    for shape in arguments.shapes.split(","):
        report["shapes"][shape] = measure_shape(shape, arguments)
        _show(shape, report["shapes"][shape])
    if arguments.against:
        import bench_peer

        shape = arguments.shapes.split(",")[0]
        report["against_transformers"] = bench_peer.compare(shape, arguments)
        _show("against transformers", report["against_transformers"])
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(report, indent=1) + "\n")


def measure_bound(dtype: jnp.dtype) -> dict[str, float]:
    """Returns the bounds of the device: GB/s of a copy, TFLOP/s of a matrix product."""
    small = jax.default_backend() == "cpu"
    numbers = jnp.ones((2**26 if small else 2**30,), dtype)
    copy = jax.jit(lambda x: x + 1)
    copied = 2 * numbers.nbytes / best_seconds(lambda: copy(numbers)) / 1e9
    matrix = jnp.ones((2048, 2048) if small else (8192, 8192), dtype)
    product = jax.jit(lambda x: x @ x)
    flops = 2 * matrix.shape[0] ** 3 / best_seconds(lambda: product(matrix)) / 1e12
    # A weight is read once a token and nothing of its size is written, which a copy does not show.
    read = jax.jit(lambda x: jnp.sum(x.reshape(-1, 1024), axis=0, dtype=jnp.float32))
    reading = numbers.nbytes / best_seconds(lambda: read(numbers)) / 1e9
    return {"copy_gb_per_s": copied, "read_gb_per_s": reading, "matmul_tflop_per_s": flops}


def measure_shape(shape: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the figures of one model shape: milliseconds, bytes, ratios."""
    config, dtype = bench_shapes.model_config(shape), jnp.dtype(arguments.dtype)
    model = random_model(config, dtype)
    question = bench_shapes.synthetic_question(config, arguments.video_tokens)
    result = {"video_tokens": arguments.video_tokens, "weight_gb": _bytes(model.decoder) / 1e9}
    engine = bench_shapes.engine_of(model)
    patches = question.media.patches
    result["vision_ms"] = 1e3 * best_seconds(
        lambda: encode_media(model.vision, patches, engine.mesh).blocks
    )
    runs = {
        name: Run(model, question, objective, arguments)
        for name, objective in (("baseline", "none"), ("vreason", "switch"))
    }
    result["prefill_ms"] = 1e3 * min(prefill_seconds(model, question) for _ in range(6))
    result.update(paired_decode(runs, arguments.pairs))
    result["decode_gb_per_token"] = _decode_bytes(model, runs["baseline"]) / 1e9
    result["decode_gb_per_s"] = (
        result["decode_gb_per_token"] / result["baseline_ms_per_token"] * 1e3
    )
    extra = runs["vreason"].memory_bytes - runs["baseline"].memory_bytes
    result["vreason_extra_mb"] = extra / 1e6
    return result


def prefill_seconds(model: Model, question) -> float:
    """Returns the seconds of reading a prompt, those of the vision tower and compiling left out."""
    engine = bench_shapes.engine_of(model)
    engine.read([question], DECODE_CHUNK)
    return engine.clock.stages["prefill"]


class Run:
    """One objective, compiled and ready to decode chunk after chunk."""

    def __init__(self, model: Model, question, objective: str, arguments):
        controller = ControllerConfig(objective=objective, every=arguments.every)
        tokens = DECODE_CHUNK * (arguments.pairs + 2)
        run = RunConfig(controller=controller, sampling=SamplingConfig(max_new_tokens=tokens))
        engine = bench_shapes.engine_of(model)
        batch = engine.read([question], 2 * tokens)  # with room for all at once
        started = engine.start(batch, run, keep=False)
        self.model, self.context, self.state = model, started.context, started.state
        self._chunk = decode_chunk.lower(
            model.decoder,
            started.context,
            started.state,
            settings=started.settings,
            steps=DECODE_CHUNK,
        ).compile()
        memory = self._chunk.memory_analysis()
        self.memory_bytes = (
            memory.temp_size_in_bytes
            + memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes
        )

    def chunk(self) -> float:
        """Decodes one chunk; returns its milliseconds per token."""
        begin = time.perf_counter()
        self.state, trace = self._chunk(self.model.decoder, self.context, self.state)
        jax.block_until_ready(trace)
        return (time.perf_counter() - begin) / DECODE_CHUNK * 1e3


def paired_decode(runs: dict[str, Run], pairs: int) -> dict[str, float]:
    """Returns medians of alternating chunks, and the median of the ratios pair by pair."""
    for run in runs.values():
        run.chunk()
    times = {name: [] for name in runs}
    for pair in range(pairs):
        # The order within a pair alternates too, so that a drifting machine favours neither.
        for name in list(runs) if pair % 2 else list(runs)[::-1]:
            times[name].append(runs[name].chunk())
    baseline, vreason = (np.array(times[name]) for name in ("baseline", "vreason"))
    return {
        "pairs": pairs,
        "baseline_ms_per_token": float(np.median(baseline)),
        "vreason_ms_per_token": float(np.median(vreason)),
        "vreason_over_baseline": float(np.median(vreason / baseline)),
    }


def best_seconds(function: Callable, repeats: int = 5) -> float:
    """Returns the shortest of a few timings, without the first call, which compiles."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - begin)
    return min(times)


def _decode_bytes(model: Model, run: Run) -> int:
    """Returns the bytes that a decode step must read: cache, and weights without the embedding."""
    decoder = model.decoder
    embedding = 0 if decoder.head is None else decoder.embedding[...].nbytes
    return _bytes(decoder) - embedding + _bytes(run.state.cache)


def _bytes(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def _show(title: str, values: dict[str, float]) -> None:
    print(title)
    for name, value in values.items():
        print(f"  {name:28s} {value:.4g}" if isinstance(value, float) else f"  {name:28s} {value}")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shapes", default="0.25b", help=f"of {', '.join(bench_shapes.SHAPES)} [0.25b]")
    add("--dtype", default="float32", choices=("float32", "bfloat16"))
    add("--video-tokens", type=int, default=768, choices=bench_shapes.VIDEO_TOKENS)
    add("--every", type=int, default=4, help="tokens between updates [4]")
    add("--pairs", type=int, default=20, help="alternating chunks of 16 tokens [20]")
    add("--against", choices=("transformers",), help="time transformers on torch in the same run")
    add("--gpu", action="store_true", help="the 7b shape in bfloat16, 4096 video tokens, and torch")
    add("--out", metavar="FILE.json", help="write every figure")
    return parser


if __name__ == "__main__":
    main()
