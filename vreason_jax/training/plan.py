"""The samples of each batch, as a pure function of the config and the step."""

import dataclasses
import functools

import numpy as np

from vreason_jax.shapes import KINDS
from vreason_jax.shapes.kinds import LEVELS
from vreason_jax.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Pick:
    """One sample of the train split."""

    index: int
    kind: str
    level: int


def picks(config: TrainConfig, first: int, count: int) -> list[Pick]:
    """Returns the samples `first` to `first + count - 1` of a run.

    Kinds take turns; levels follow the weights of the current stage. No sample comes twice, and
    another seed takes other samples.
    """
    numbers = range(first, first + count)
    draws = np.random.default_rng([config.run.seed, first]).random(count)
    kinds = config.data.kinds
    offset = config.run.seed * 10_000_000  # of the split's 1e9 indices
    return [
        Pick(offset + number, kinds[number % len(kinds)], _level(config, number, draw))
        for number, draw in zip(numbers, draws, strict=True)
    ]


def batch_order(config: TrainConfig, buffer: int, lengths: tuple[int, ...]) -> list[np.ndarray]:
    """Returns the rows of each batch of a buffer, given the reply's length of every row.

    A batch holds rows of similar length and so has little padding. Batches come in random order.
    """
    random = np.random.default_rng([config.run.seed, buffer, 1])
    # A random key between equals, or rows of equal length would keep the order of the kinds.
    rows = np.lexsort((random.random(len(lengths)), np.asarray(lengths)))
    batches = np.split(rows, len(rows) // config.data.batch)
    return [batches[number] for number in random.permutation(len(batches))]


def validation_picks(count: int) -> list[Pick]:
    """Returns `count` samples for the validation split, kinds and levels in turn."""
    return [
        Pick(number, KINDS[number % len(KINDS)], LEVELS[number // len(KINDS) % len(LEVELS)])
        for number in range(count)
    ]


def _level(config: TrainConfig, number: int, draw: float) -> int:
    share = number / (config.run.steps * config.data.batch)
    bounds = _stage_bounds(config)
    stage = next((s for end, s in bounds if share < end), bounds[-1][1])
    cumulated = np.cumsum(stage) / np.sum(stage)
    return LEVELS[int(np.searchsorted(cumulated, draw, side="right"))]


@functools.lru_cache
def _stage_bounds(config: TrainConfig) -> list[tuple[float, tuple[float, ...]]]:
    ends = np.cumsum([stage[0] for stage in config.data.stages])
    return [(float(end), stage[1:]) for end, stage in zip(ends, config.data.stages, strict=True)]
