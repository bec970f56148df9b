"""What `bench.py` times: programs, tower, reading, decoding, V-Reason, and the device itself."""

import time
from collections.abc import Callable

import bench_shapes
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vreason_jax.config import ControllerConfig, RunConfig, SamplingConfig
from vreason_jax.decoding.ladder import DECODE_CHUNK
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.engine.media import encode_media
from vreason_jax.families.model import Model


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


def compile_seconds(model: Model, question) -> dict[str, float]:
    """Returns how many programs a first question takes, and their seconds."""
    engine, run = bench_shapes.engine_of(model), _run_config("switch", 4, DECODE_CHUNK)
    batch = engine.read([question], DECODE_CHUNK)
    for _ in engine.decode(engine.start(batch, run, keep=False), run, ignore_eos=True):
        pass
    return {"programs": engine.clock.programs, "compile_s": engine.clock.seconds}


def vision(model: Model, question, bound: dict[str, float]) -> dict[str, float]:
    """Returns the tower's milliseconds for the question's clip."""
    mesh, patches = bench_shapes.engine_of(model).mesh, question.media.patches
    seconds = best_seconds(lambda: encode_media(model.vision, patches, mesh).blocks)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model.vision.blocks)))
    operations = 2 * numbers * sum(len(medium.values) for medium in patches)
    return {"vision_ms": 1e3 * seconds, "vision_share": _share(operations, seconds, bound)}


def prefill(model: Model, question, bound: dict[str, float]) -> dict[str, float]:
    """Returns the milliseconds of reading the prompt; the tower's are left out."""
    # The first is not counted: while it compiles, the device computes already.
    _, *times = (prefill_seconds(model, question) for _ in range(6))
    seconds = min(times)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model.decoder.body)))
    operations = 2 * numbers * len(question.prompt.token_ids)
    return {"prefill_ms": 1e3 * seconds, "prefill_share": _share(operations, seconds, bound)}


def decode(model: Model, question, bound: dict[str, float], arguments) -> dict[str, float]:
    """Returns plain decoding and V-Reason's, chunk by chunk in turn."""
    runs = {
        name: Run(model, question, objective, arguments)
        for name, objective in (("baseline", "none"), ("vreason", "switch"))
    }
    result = paired_decode(runs, arguments.pairs)
    gigabytes = _decode_bytes(model, runs["baseline"]) / 1e9
    rate = gigabytes / result["baseline_ms_per_token"] * 1e3
    extra = runs["vreason"].memory_bytes - runs["baseline"].memory_bytes
    return result | {
        "decode_gb_per_token": gigabytes,
        "decode_gb_per_s": rate,
        "decode_share": rate / bound["read_gb_per_s"],
        "vreason_extra_mb": extra / 1e6,
    }


def prefill_seconds(model: Model, question) -> float:
    """Returns the seconds of reading a prompt, those of the vision tower and compiling left out."""
    engine = bench_shapes.engine_of(model)
    engine.read([question], DECODE_CHUNK)
    return engine.clock.stages["prefill"]


class Run:
    """One objective, compiled and ready to decode chunk after chunk."""

    def __init__(self, model: Model, question, objective: str, arguments):
        tokens = DECODE_CHUNK * (arguments.pairs + 2)
        run = _run_config(objective, arguments.every, tokens)
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


def _run_config(objective: str, every: int, tokens: int) -> RunConfig:
    controller = ControllerConfig(objective=objective, every=every)
    return RunConfig(controller=controller, sampling=SamplingConfig(max_new_tokens=tokens))


def _share(operations: float, seconds: float, bound: dict[str, float]) -> float:
    return operations / seconds / 1e12 / bound["matmul_tflop_per_s"]


def _decode_bytes(model: Model, run: Run) -> int:
    """Returns the bytes that a decode step must read: cache, and weights without the embedding."""
    decoder = model.decoder
    embedding = 0 if decoder.head is None else decoder.embedding[...].nbytes
    return bytes_of(decoder) - embedding + bytes_of(run.state.cache)


def bytes_of(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
