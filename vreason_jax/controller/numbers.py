"""The controller's hyper-parameters that are numbers: data, and no part of what is compiled."""

import dataclasses
from typing import Any

import numpy as np
from flax import struct

from vreason_jax.config import ControllerConfig

Array = Any  # NumPy scalars where they are made, jax.Array where they are read


class ControllerNumbers(struct.PyTreeNode):
    """As in ControllerConfig, [] float32: a sweep over them runs one program."""

    learning_rate: Array
    weight_decay: Array
    clip_norm: Array
    random_rate: Array
    ema_decay: Array
    ema_gain: Array  # 1 - ema_decay, taken before both are rounded

    @classmethod
    def of(cls, config: ControllerConfig) -> "ControllerNumbers":
        """Returns the numbers of a config."""
        values = {name: np.float32(getattr(config, name)) for name in _NAMES}
        return cls(**values, ema_gain=np.float32(1.0 - config.ema_decay))


def without_numbers(config: ControllerConfig) -> ControllerConfig:
    """Returns the config with the default in place of every one of these numbers."""
    defaults = ControllerConfig()
    return dataclasses.replace(config, **{name: getattr(defaults, name) for name in _NAMES})


_NAMES = ("learning_rate", "weight_decay", "clip_norm", "random_rate", "ema_decay")
