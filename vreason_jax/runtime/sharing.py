"""How a decoder is shared by more devices than it has key/value heads.

Each key/value head then lies on several devices, each time with its share of its query heads.
Shares are filled with query heads of zeros, whose output weights are zeros too, and MLPs with
neurons of zeros: what is computed stays the same.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Sharding

from vreason_jax.model.config import ModelConfig, TextConfig
from vreason_jax.model.tensors import Unit
from vreason_jax.runtime.names import ExpectedTensor, Parameter, expected_tensors, join, parameters

FILLED = -1  # no stored row: zeros


def shared_config(config: ModelConfig, devices: int) -> ModelConfig:
    """Returns the config of the model as `devices` devices of `model` share it evenly."""
    text = config.text
    kv_heads = math.lcm(text.kv_heads, devices)
    repeats = kv_heads // text.kv_heads
    queries = -(-text.heads // text.kv_heads // repeats)
    shared = dataclasses.replace(
        text,
        heads=kv_heads * queries,
        kv_heads=kv_heads,
        kv_repeats=repeats,
        mlp_width=-(-text.mlp_width // devices) * devices,
    )
    return dataclasses.replace(config, text=shared)


class Share(NamedTuple):
    """A parameter, and where its rows and columns come from in tensors as they are stored."""

    path: str
    shape: tuple[int, ...]
    cut: int | None  # the axis that is cut over `model`
    tensors: tuple[ExpectedTensor, ...]
    int8: bool = False  # whether it is made a byte a number, with scales beside it
    rows: np.ndarray | None = None  # of the tensors, one after the other; None: as they are
    columns: np.ndarray | None = None


def as_stored(config: ModelConfig) -> list[Share]:
    """Returns the tensors of a checkpoint, as they are."""
    tensors = expected_tensors(config).values()
    return [Share(each.path, each.shape, each.row.cut, (each,)) for each in tensors]


def shares(config: ModelConfig, shared: ModelConfig) -> list[Share]:
    """Returns the parameters of `shared`, as the tensors of `config` make them."""
    pairs = zip(parameters(config), parameters(shared), strict=True)
    return [_share(stored, parameter, config.text, shared.text) for stored, parameter in pairs]


def _share(stored: Parameter, parameter: Parameter, text: TextConfig, shared: TextConfig) -> Share:
    shape, tensors = parameter.shape, parameter.tensors
    parts, columns, first = [], None, 0
    for old, new in zip(stored.tensors, tensors, strict=True):
        rows = np.arange(old.shape[0])
        if old.shape != new.shape:
            assert old.row.unit is not None
            dealt = _DEALT[old.row.unit](text, shared)
            rows, columns = (rows, dealt) if old.row.axis else (dealt, None)
        parts.append(np.where(rows == FILLED, FILLED, rows + first))
        first += old.shape[0]
    if parameter.joint:
        outer = shape[: len(shape) - len(tensors[0].shape) + 1]
        parts = [join(parts, parameter.joint, outer)]
    path, cut, int8 = parameter.path, parameter.cut, parameter.int8
    return Share(path, shape, cut, stored.tensors, int8, parts[0].reshape(-1), columns)


def make(parts: Sequence[jax.Array], share: Share, sharding: Sharding) -> jax.Array:
    """Returns the parameter that arrays on the devices make."""
    if share.rows is None or share.shape == parts[0].shape:
        return parts[0]
    return _made(parts, share.rows, share.columns, shape=share.shape, sharding=sharding)


@functools.partial(jax.jit, static_argnames=("shape", "sharding"))
def _made(parts, rows, columns, *, shape, sharding) -> jax.Array:
    array = take(jnp.concatenate(parts), rows, 0, jnp)
    if columns is not None:
        array = take(array, columns, -1, jnp)
    return lax.with_sharding_constraint(array.reshape(shape), sharding)


def take(array: Any, index: Any, axis: int, numpy: ModuleType) -> Any:
    """Returns what an index names along an axis, zeros where it is FILLED, by NumPy or JAX."""
    taken = numpy.take(array, numpy.maximum(index, 0), axis=axis)
    stored = numpy.expand_dims(
        index != FILLED, [n for n in range(array.ndim) if n != axis % array.ndim]
    )
    return numpy.where(stored, taken, numpy.zeros((), array.dtype))


def _query_rows(text: TextConfig, shared: TextConfig) -> np.ndarray:
    """The stored row of each row of the queries: heads in turn, each dealt to its repeats."""
    stored, dealt = text.heads // text.kv_heads, shared.heads // shared.kv_heads
    heads = np.full((text.kv_heads, shared.kv_repeats * dealt), FILLED)
    heads[:, :stored] = np.arange(text.heads).reshape(text.kv_heads, stored)
    return _rows(heads.reshape(-1), text.head_width)


def _kv_rows(text: TextConfig, shared: TextConfig) -> np.ndarray:
    return _rows(np.repeat(np.arange(text.kv_heads), shared.kv_repeats), text.head_width)


def _mlp_rows(text: TextConfig, shared: TextConfig) -> np.ndarray:
    rows = np.arange(shared.mlp_width)
    return np.where(rows < text.mlp_width, rows, FILLED)


def _rows(heads: np.ndarray, width: int) -> np.ndarray:
    rows = heads[:, None] * width + np.arange(width)
    return np.where(heads[:, None] == FILLED, FILLED, rows).reshape(-1)


_DEALT = {
    Unit.QUERY_HEADS: _query_rows,
    Unit.KV_HEADS: _kv_rows,
    Unit.NEURONS: _mlp_rows,
}
