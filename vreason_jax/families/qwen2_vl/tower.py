"""Qwen2-VL's vision tower: layer norms, plain MLPs, no windows."""

import functools

import jax
import jax.numpy as jnp

from vreason_jax.model.config import VisionConfig
from vreason_jax.model.layers import MLP, LayerNorm
from vreason_jax.model.vision import NORM_EPS, VisionTower


class Tower(VisionTower):
    """The vision tower of Qwen2-VL."""

    def __init__(self, config: VisionConfig, dtype: jnp.dtype):
        width, mlp_width = config.width, config.mlp_width
        super().__init__(
            config,
            dtype,
            norm=functools.partial(LayerNorm, width, eps=NORM_EPS, dtype=dtype),
            mlp=functools.partial(MLP, width, mlp_width, quick_gelu, dtype=dtype),
        )


def quick_gelu(x: jax.Array) -> jax.Array:
    """Returns x sigmoid(1.702 x)."""
    return x * jax.nn.sigmoid(1.702 * x)
