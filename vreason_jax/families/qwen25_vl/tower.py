"""Qwen2.5-VL's vision tower: RMS norms, gated MLPs, windows in most blocks."""

import functools

import jax.numpy as jnp

from vreason_jax.families.qwen25_vl.config import WindowedVision
from vreason_jax.model.layers import Norm, SwiGLU
from vreason_jax.model.vision import NORM_EPS, VisionTower


class Tower(VisionTower):
    """The vision tower of Qwen2.5-VL."""

    def __init__(self, config: WindowedVision, dtype: jnp.dtype):
        width, mlp_width = config.width, config.mlp_width
        super().__init__(
            config,
            dtype,
            norm=functools.partial(Norm, width, eps=NORM_EPS, dtype=dtype),
            mlp=functools.partial(SwiGLU, width, mlp_width, bias=True, dtype=dtype),
        )
