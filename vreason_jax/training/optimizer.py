"""Initial weights and the optimiser."""

import math
import zlib

import jax
import numpy as np
import optax
from optax.contrib import MuonDimensionNumbers, muon

from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime import names
from vreason_jax.training.config import OptimizerOptions, TrainConfig

_MATRIX = MuonDimensionNumbers(reduction_axis=1, output_axis=0)  # weights are [out, in]
_EMBEDDING_STD = 0.5
_HEAD_STD = 0.02


def initial_parameters(config: ModelConfig, seed: int) -> dict[str, np.ndarray]:
    """Returns float32 parameters by dotted path.

    Norms are 1, biases 0, matrices N(0, 1 / inputs), and smaller at the end of a residual branch.
    """
    return {
        tensor.path: _initial(tensor.path, tensor.shape, config, seed)
        for tensor in names.expected_tensors(config).values()
    }


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Returns Muon for the matrices and AdamW for embedding, head, norms and biases."""
    options, steps = config.optimizer, config.run.steps
    return optax.chain(
        optax.clip_by_global_norm(options.clip_norm),
        muon(
            learning_rate=learning_rate(options, options.learning_rate, steps),
            adam_learning_rate=learning_rate(options, options.adam_learning_rate, steps),
            weight_decay=options.weight_decay,
            adam_b2=0.98,
            muon_weight_dimension_numbers=_matrices,  # pyright: ignore[reportArgumentType]
        ),
    )


def learning_rate(options: OptimizerOptions, peak: float, steps: int) -> optax.Schedule:
    """Returns the schedule: a linear rise, a plateau, and a linear fall to 0."""
    warmup, decay = max(1, round(options.warmup * steps)), round(options.decay * steps)
    return optax.join_schedules(
        [
            optax.linear_schedule(peak / warmup, peak, warmup),
            optax.constant_schedule(peak),
            optax.linear_schedule(peak, 0.0, decay),
        ],
        [warmup, steps - decay],
    )


def _matrices(parameters: dict[str, jax.Array]) -> dict[str, MuonDimensionNumbers | None]:
    # optax also asks for trees in which those of AdamW are masked, without a shape.
    tables = ("decoder.embedding", "decoder.head", "vision.positions")
    return {
        path: _MATRIX if getattr(array, "ndim", 0) == 2 and path not in tables else None
        for path, array in parameters.items()
    }


def _initial(path: str, shape: tuple[int, ...], config: ModelConfig, seed: int) -> np.ndarray:
    if path.endswith("bias"):
        return np.zeros(shape, np.float32)
    if "norm" in path:
        return np.ones(shape, np.float32)
    random = np.random.default_rng([seed, zlib.crc32(path.encode())])
    return (random.standard_normal(shape) * _deviation(path, shape, config)).astype(np.float32)


def _deviation(path: str, shape: tuple[int, ...], config: ModelConfig) -> float:
    if path == "decoder.head" or (path == "decoder.embedding" and config.text.tied):
        return _HEAD_STD
    if path == "decoder.embedding":
        return _EMBEDDING_STD
    ends = ("attention.o.weight", "mlp.down.weight", "mlp.fc2.weight", "proj.weight")
    depth = config.text.layers if path.startswith("decoder") else config.vision.depth
    branch = 1 / math.sqrt(2 * depth) if path.endswith(ends) else 1.0
    return branch / math.sqrt(shape[1])
