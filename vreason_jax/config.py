"""Run configuration: frozen dataclasses, read from TOML and overridden key by key."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError
from vreason_jax.settings import (
    apply_overrides,
    in_range,
    known_keys,
    one_of,
    table_values,
)
from vreason_jax.toml_files import read_named_toml

# An installed package holds the folder that a checkout has beside it.
_INSTALLED = Path(__file__).parent / "configs"
CONFIG_FOLDER = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "configs"

DTYPES = ("float32", "bfloat16", "float16")  # of weights
OBJECTIVES = (
    "switch", "min", "max", "none", "inverted", "random", "random_direction", "frozen",
)  # fmt: skip
PLACEMENTS = ("video", "question", "prompt")
PRUNE_POLICIES = (
    "value_norm", "drop_low_key", "drop_high_key", "random", "uniform", "per_frame",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ControllerConfig:
    """The entropy controller (V-Reason; the readings are explained in docs/method.md)."""

    objective: str = "switch"
    placement: str = "video"  # where the delta acts
    every: int = 4  # tokens between updates
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # of the gradient, per sequence
    random_rate: float = 0.5  # P(alpha = +1) under `random`
    ema_decay: float = 0.98
    ema_init: str = "zero"
    norm: str = "vector"
    resample_after_update: bool = False

    def __post_init__(self):
        one_of("controller.objective", self.objective, OBJECTIVES)
        one_of("controller.placement", self.placement, PLACEMENTS)
        one_of("controller.ema_init", self.ema_init, ("zero", "first"))
        one_of("controller.norm", self.norm, ("vector", "tensor", "none"))
        in_range("controller.every", self.every, 1)
        in_range("controller.learning_rate", self.learning_rate, 0.0)
        in_range("controller.weight_decay", self.weight_decay, 0.0)
        in_range("controller.clip_norm", self.clip_norm, 0.0, open_low=True)
        in_range("controller.random_rate", self.random_rate, 0.0, 1.0)
        in_range("controller.ema_decay", self.ema_decay, 0.0, 1.0, open_high=True)


@dataclasses.dataclass(frozen=True)
class PruneConfig:
    """V-Reason Lite: share and choice of the video tokens that leave the cache after prefill."""

    fraction: float = 0.0
    policy: str = "value_norm"

    def __post_init__(self):
        in_range("prune.fraction", self.fraction, 0.0, 1.0, open_high=True)
        one_of("prune.policy", self.policy, PRUNE_POLICIES)


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """The sampling of tokens from logits; temperature 0 is greedy."""

    max_new_tokens: int = 1024
    seed: int = 0
    temperature: float = 0.0
    top_k: int = 0  # tokens that are kept; 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    top_h: float = 0.0  # share of the entropy that the kept tokens may have; 0: all are kept
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0

    def __post_init__(self):
        in_range("sampling.max_new_tokens", self.max_new_tokens, 1)
        in_range("sampling.seed", self.seed, 0, 2**32 - 1)
        in_range("sampling.temperature", self.temperature, 0.0)
        in_range("sampling.top_k", self.top_k, 0)
        in_range("sampling.top_p", self.top_p, 0.0, 1.0, open_low=True)
        in_range("sampling.min_p", self.min_p, 0.0, 1.0)
        in_range("sampling.top_h", self.top_h, 0.0, 1.0)
        in_range("sampling.repetition_penalty", self.repetition_penalty, 0.0, open_low=True)
        in_range("sampling.presence_penalty", self.presence_penalty, -1e4, 1e4)


@dataclasses.dataclass(frozen=True)
class VideoConfig:
    """The choice and size of frames.

    `min_pixels` and `max_pixels` are per frame. None means the checkpoint's limits for video
    (video/preprocessing.py), or else 100352 and 200704.
    """

    num_frames: int | None = None
    max_frames: int = 16
    min_pixels: int | None = None
    max_pixels: int | None = None
    reader: str = "auto"
    timeout_seconds: float = 120.0

    def __post_init__(self):
        one_of("video.reader", self.reader, ("auto", "decord", "pyav"))
        in_range("video.num_frames", self.num_frames, 1)
        in_range("video.max_frames", self.max_frames, 1)
        in_range("video.min_pixels", self.min_pixels, 1)
        in_range("video.max_pixels", self.max_pixels, 1)
        in_range("video.timeout_seconds", self.timeout_seconds, 0.0, math.inf, open_low=True)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Options of the model. `dtype` None means float32 on a CPU, else the checkpoint's own."""

    dtype: str | None = None
    position_rule: str = "max"
    verify: bool = True  # whether loading checks the bytes of converted weights

    def __post_init__(self):
        if self.dtype is not None:
            one_of("model.dtype", self.dtype, DTYPES)
        one_of("model.position_rule", self.position_rule, ("max", "hf5"))


@dataclasses.dataclass(frozen=True)
class PromptConfig:
    """`template` is a file with `{question}` that wraps the user's words, or none."""

    template: str | None = None


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings that can change an answer, apart from the model, the video and the question."""

    controller: ControllerConfig = dataclasses.field(default_factory=ControllerConfig)
    prune: PruneConfig = dataclasses.field(default_factory=PruneConfig)
    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    video: VideoConfig = dataclasses.field(default_factory=VideoConfig)
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    prompt: PromptConfig = dataclasses.field(default_factory=PromptConfig)

    def check_samples(self, samples: int) -> None:
        """Raises UserError where so many answers to one question would all be the same."""
        if samples < 1 or (samples > 1 and self.sampling.temperature == 0.0):
            raise UserError(
                f"samples: expected 1 at sampling.temperature 0, where all are the same, got "
                f"{samples}; set a temperature above 0"
            )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns the nested plain values, as the trace records them."""
        return dataclasses.asdict(self)


def load_config(
    name_or_file: str = "vreason", overrides: dict[str, Any] | None = None
) -> RunConfig:
    """Returns the run config of a file of `configs/` (by name) or of a TOML path, overridden.

    `overrides` maps dotted keys ("controller.every") to values; for a key that may be none, None
    and "none" are the same. Raises UserError for an unknown file, key, type or range.
    """
    return apply_overrides(RunConfig(), {**config_values(name_or_file), **(overrides or {})})


def config_values(name_or_file: str, flag: str = "--config") -> dict[str, Any]:
    """Returns the values that a config file, by name or path, sets, by dotted key.

    Raises UserError, which names the file, for an unknown key or a value of another type, and one
    that names `flag` where there is no such file.
    """
    path, tables = read_named_toml(name_or_file, CONFIG_FOLDER, flag)
    try:
        return table_values(tables, known_keys(RunConfig))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
