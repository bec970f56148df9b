"""How a decoder is shared by more devices than it has key/value heads.

Each key/value head then lies on several devices, each time with its share of its query heads.
Shares are filled with query heads of zeros, whose output weights are zeros too, and MLPs with
neurons of zeros: what is computed stays the same.
"""

import dataclasses
import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding

from vreason_jax.model.config import ModelConfig, TextConfig
from vreason_jax.runtime.mesh import parameter_sharding

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
    if shared == config:
        return arrays
    return {path: _shared(path, arrays.pop(path), config, shared, mesh) for path in list(arrays)}


def _shared(path, array, config, shared, mesh) -> jax.Array:
    for pattern, axis, rows in (
        (r".*\.attention\.q\.(weight|bias)", 0, _query_rows),
        (r".*\.attention\.[kv]\.(weight|bias)", 0, _kv_rows),
        (r".*\.attention\.o\.weight", 1, _query_rows),
        (r"decoder\..*\.mlp\.(gate|up)\.weight", 0, _mlp_rows),
        (r"decoder\..*\.mlp\.down\.weight", 1, _mlp_rows),
    ):
        if re.fullmatch(pattern, path):
            index = rows(config.text, shared.text)
            shape = tuple(len(index) if n == axis else m for n, m in enumerate(array.shape))
            sharding = parameter_sharding(path, shape, mesh)
            return _taken(array, index, axis=axis, sharding=sharding).block_until_ready()
    return array


@functools.partial(jax.jit, static_argnames=("axis", "sharding"))
def _taken(array: jax.Array, index: jax.Array, *, axis: int, sharding: NamedSharding) -> jax.Array:
    taken = jnp.take(array, jnp.maximum(index, 0), axis=axis)
    stored = jnp.expand_dims(index != _FILLED, [n for n in range(array.ndim) if n != axis])
    return lax.with_sharding_constraint(jnp.where(stored, taken, 0), sharding)


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
