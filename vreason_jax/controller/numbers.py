"""The controller's settings as data: a sweep over them, or over objectives, runs one program."""

import numpy as np
from flax import struct

from vreason_jax.arrays import Array
from vreason_jax.config import ControllerConfig

_NEVER = np.iinfo(np.int32).max

# alpha = constant + switched * (alpha of `switch`) + coin * (a fair or biased coin of +1 and -1)
_ALPHA = {
    "none": (0, 0, 0),
    "min": (-1, 0, 0),
    "max": (1, 0, 0),
    "inverted": (0, -1, 0),
    "random": (0, 0, 1),
}
_SWITCH = (0, 1, 0)


class ControllerNumbers(struct.PyTreeNode):
    """As in ControllerConfig, []: float32, or int32 and bool where it says so."""

    learning_rate: Array
    weight_decay: Array
    clip_norm: Array
    random_rate: Array
    ema_decay: Array
    ema_gain: Array  # 1 - ema_decay, taken before both are rounded
    ema_from_first: Array  # bool: EMA_{-1} is the first token's entropy, and not 0
    alpha_constant: Array
    alpha_switched: Array
    alpha_coin: Array
    every: Array  # int32, k
    entropy_floor: Array
    restart_on_flip: Array  # bool
    last_update: Array  # int32, no update is made after this token
    random_direction: Array  # bool: attention sees a fixed direction, as long as the trained delta
    resample: Array  # bool: the token is drawn after the update

    @classmethod
    def of(cls, config: ControllerConfig) -> "ControllerNumbers":
        """Returns the numbers of a config."""
        constant, switched, coin = map(np.float32, _ALPHA.get(config.objective, _SWITCH))
        names = (
            "learning_rate", "weight_decay", "clip_norm", "random_rate", "ema_decay",
            "entropy_floor",
        )  # fmt: skip
        return cls(
            **{name: np.float32(getattr(config, name)) for name in names},
            ema_gain=np.float32(1.0 - config.ema_decay),
            ema_from_first=np.bool_(config.ema_init == "first"),
            alpha_constant=constant,
            alpha_switched=switched,
            alpha_coin=coin,
            every=np.int32(config.every),
            restart_on_flip=np.bool_(config.restart_on_flip),
            last_update=np.int32(config.every if config.objective == "frozen" else _NEVER),
            random_direction=np.bool_(config.objective == "random_direction"),
            resample=np.bool_(config.resample_after_update),
        )
