"""How a decoder is shared by more devices than it has key/value heads.

Each key/value head then lies on several devices, each time with its share of its query heads.
Shares are filled with query heads of zeros, whose output weights are zeros too, and MLPs with
neurons of zeros: what is computed stays the same.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from vreason_jax.model.config import ModelConfig, TextConfig
from vreason_jax.model.tensors import Row, Unit
from vreason_jax.runtime.mesh import parameter_sharding
from vreason_jax.runtime.names import expected_tensors

_FILLED = -1  # no stored row: zeros


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


def share(
    arrays: dict[str, jax.Array], config: ModelConfig, shared: ModelConfig, mesh: Mesh
) -> dict[str, jax.Array]:
    """Returns the parameters of `config`, by dotted path, as those of `shared`; empties `arrays`.

    One after the other, so that little lies on the devices twice.
    """
    if shared != config:
        for tensor in expected_tensors(config).values():
            if tensor.row.unit in _ROWS:
                index = _ROWS[tensor.row.unit](config.text, shared.text)
                taken = _taken(arrays.pop(tensor.path), index, row=tensor.row, mesh=mesh)
                arrays[tensor.path] = taken.block_until_ready()
    return arrays


@functools.partial(jax.jit, static_argnames=("row", "mesh"))
def _taken(array: jax.Array, index: jax.Array, *, row: Row, mesh: Mesh) -> jax.Array:
    taken = jnp.take(array, jnp.maximum(index, 0), axis=row.axis)
    stored = jnp.expand_dims(index != _FILLED, [n for n in range(array.ndim) if n != row.axis])
    filled = jnp.where(stored, taken, 0)
    return lax.with_sharding_constraint(filled, parameter_sharding(row, filled.shape, mesh))


def _query_rows(text: TextConfig, shared: TextConfig) -> np.ndarray:
    """The stored row of each row of the queries: heads in turn, each dealt to its repeats."""
    stored, dealt = text.heads // text.kv_heads, shared.heads // shared.kv_heads
    heads = np.full((text.kv_heads, shared.kv_repeats * dealt), _FILLED)
    heads[:, :stored] = np.arange(text.heads).reshape(text.kv_heads, stored)
    return _rows(heads.reshape(-1), text.head_width)


def _kv_rows(text: TextConfig, shared: TextConfig) -> np.ndarray:
    return _rows(np.repeat(np.arange(text.kv_heads), shared.kv_repeats), text.head_width)


def _mlp_rows(text: TextConfig, shared: TextConfig) -> np.ndarray:
    rows = np.arange(shared.mlp_width)
    return np.where(rows < text.mlp_width, rows, _FILLED)


def _rows(heads: np.ndarray, width: int) -> np.ndarray:
    rows = heads[:, None] * width + np.arange(width)
    return np.where(heads[:, None] == _FILLED, _FILLED, rows).reshape(-1)


_ROWS = {
    Unit.QUERY_HEADS: _query_rows,
    Unit.KV_HEADS: _kv_rows,
    Unit.NEURONS: _mlp_rows,
}
