"""A model of any family: vision tower and decoder."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from vreason_jax.families.registry import family_of
from vreason_jax.model.config import ModelConfig


class Model(nnx.Module):
    """The whole model. Parameters are zeros: checkpoints fill them (runtime/checkpoint.py)."""

    def __init__(self, config: ModelConfig, dtype: jnp.dtype):
        self.config = config
        family = family_of(config)
        self.vision = family.tower(config.vision, dtype)
        self.decoder = family.decoder(config.text, dtype)


def random_model(config: ModelConfig, dtype: DTypeLike, seed: int = 0) -> Model:
    """Returns the model with random weights made on the device: norms 1, the rest N(0, 0.02^2)."""
    graph, abstract = nnx.split(abstract_model(config, dtype))
    leaves, structure = jax.tree.flatten_with_path(abstract)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    filled = [_random_leaf(path, leaf, key) for (path, leaf), key in zip(leaves, keys, strict=True)]
    return nnx.merge(graph, jax.tree.unflatten(structure, filled))


def _random_leaf(path, leaf, key):
    if "norm" in jax.tree_util.keystr(path):
        return jnp.ones(leaf.shape, leaf.dtype)
    return _normal(key, leaf.shape, leaf.dtype)


# One program a shape, of which a model has about fifteen, and not one a leaf.
@functools.partial(jax.jit, static_argnames=("shape", "dtype"))
def _normal(key, shape, dtype):
    return (0.02 * jax.random.normal(key, shape, jnp.float32)).astype(dtype)


@functools.lru_cache(maxsize=32)  # tracing a model of 80 layers takes a second
def abstract_model(config: ModelConfig, dtype: DTypeLike = jnp.float32) -> Model:
    """Returns the model with shapes and dtypes for parameters: nothing is allocated."""
    return nnx.eval_shape(lambda: Model(config, jnp.dtype(dtype)))
