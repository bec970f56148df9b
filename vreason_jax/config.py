"""Run configuration: frozen dataclasses, read from TOML and overridden key by key."""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, shown
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
WEIGHTS = ("stored", "int8")
OBJECTIVES = (
    "switch", "min", "max", "none", "inverted", "random", "random_direction", "frozen",
)  # fmt: skip
LAYERED = ("video", "question", "prompt")  # placements that may name their layers
PLACEMENTS = (*LAYERED, "answer", "hidden", "logits")
PRUNE_POLICIES = (
    "value_norm", "drop_low_key", "drop_high_key", "random", "uniform", "per_frame",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ControllerConfig:
    """The entropy controller (V-Reason; the readings are explained in docs/method.md)."""

    objective: str = "switch"
    placement: str = "video"  # where the delta acts (docs/method.md)
    recent: int = 64  # tokens of the answer that `answer` steers
    every: int = 4  # tokens between updates
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    clip_norm: float = 1.0  # of the gradient, per sequence
    random_rate: float = 0.5  # P(alpha = +1) under `random`
    ema_decay: float = 0.98
    ema_init: str = "zero"
    norm: str = "vector"
    resample_after_update: bool = False
    entropy_floor: float = 0.0  # nats; no update is made below it
    restart_on_flip: bool = False  # whether AdamW begins anew when alpha changes its sign

    def __post_init__(self):
        one_of("controller.objective", self.objective, OBJECTIVES)
        _check_placement(self)
        one_of("controller.ema_init", self.ema_init, ("zero", "first"))
        one_of("controller.norm", self.norm, ("vector", "tensor", "none"))
        in_range("controller.recent", self.recent, 1, 2**20)
        in_range("controller.entropy_floor", self.entropy_floor, 0.0)
        in_range("controller.every", self.every, 1)
        in_range("controller.learning_rate", self.learning_rate, 0.0)
        in_range("controller.weight_decay", self.weight_decay, 0.0)
        in_range("controller.clip_norm", self.clip_norm, 0.0, open_low=True)
        in_range("controller.random_rate", self.random_rate, 0.0, 1.0)
        in_range("controller.ema_decay", self.ema_decay, 0.0, 1.0, open_high=True)

    @property
    def is_random(self) -> bool:
        """Whether chance is in what it does, so that seeds differ."""
        tossed = self.objective == "random" and 0 < self.random_rate < 1
        return self.learning_rate > 0 and (tossed or self.objective == "random_direction")


def placement_tokens(placement: str) -> str:
    """Returns what a placement steers, without its layers: one of PLACEMENTS."""
    return placement.partition("@")[0]


def steered_layers(placement: str, layers: int) -> tuple[int, ...]:
    """Returns the layers of a placement in a decoder of so many, rising; without any, the last.

    Raises UserError for layers that are not there.
    """
    _, _, named = placement.partition("@")
    last = named.removeprefix("last")
    if last != named:
        chosen = range(layers - int(last), layers)
    else:
        number = int(named or -1)
        chosen = range(number % layers, number % layers + 1) if abs(number + 0.5) < layers else ()
    if not chosen or chosen[0] < 0:
        raise UserError(
            f"controller.placement: expected layers among the model's 0 to {layers - 1}, got "
            f"{shown(placement)}"
        )
    return tuple(chosen)


def _check_placement(controller: ControllerConfig) -> None:
    tokens, at, layers = controller.placement.partition("@")
    one_of("controller.placement", tokens, PLACEMENTS)
    if at and (tokens not in LAYERED or not re.fullmatch(r"-?\d{1,4}|last[1-9]\d{0,3}", layers)):
        raise UserError(
            f"controller.placement: expected a layer as video@12 or video@-2, or the last ones as "
            f"video@last2, of {', '.join(LAYERED)}, got {shown(controller.placement)}"
        )
    if tokens in ("hidden", "logits") and controller.norm == "tensor":
        raise UserError(
            f"controller.norm: expected none with controller.placement {tokens}, whose length is "
            f"not kept, got {shown(controller.norm)}"
        )
    if controller.objective == "frozen" and controller.entropy_floor:
        raise UserError(
            "controller.entropy_floor: expected 0 with controller.objective frozen, whose only "
            f"update it might skip, got {controller.entropy_floor:g}"
        )


@dataclasses.dataclass(frozen=True)
class PruneConfig:
    """V-Reason Lite: share and choice of the video tokens that leave the cache after prefill."""

    fraction: float = 0.0
    policy: str = "value_norm"

    def __post_init__(self):
        in_range("prune.fraction", self.fraction, 0.0, 1.0, open_high=True)
        one_of("prune.policy", self.policy, PRUNE_POLICIES)


GREEDY = 1e-6  # logits over so small a temperature overflow, and draw the best token before


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """The sampling of tokens from logits; temperature 0 is greedy.

    `source` "checkpoint" takes what the folder's generation_config.json says, but for what the user
    sets by hand (checkpoint.py).
    """

    source: str = "config"
    max_new_tokens: int = 1024
    seed: int = 0
    temperature: float = 0.0
    top_k: int = 0  # tokens that are kept; 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    top_h: float = 0.0  # share of the entropy that the kept tokens may have; 0: all are kept
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0

    @property
    def is_greedy(self) -> bool:
        """Whether every seed gives the same tokens."""
        return self.temperature <= GREEDY or self.top_k == 1

    def __post_init__(self):
        one_of("sampling.source", self.source, ("config", "checkpoint"))
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

    With `sizing` "frame" frames are chosen and sized as qwen-vl-utils does, and `min_pixels` and
    `max_pixels` are those of a frame; with "clip" as transformers does for models whose files limit
    the pixels of a whole clip, and they are those of all its frames. None means the checkpoint's
    own limits (video/preprocessing.py), or else 128 to 256 tokens a frame.
    """

    num_frames: int | None = None
    max_frames: int = 16
    min_pixels: int | None = None
    max_pixels: int | None = None
    sizing: str = "frame"
    reader: str = "auto"
    timeout_seconds: float = 120.0

    def __post_init__(self):
        one_of("video.sizing", self.sizing, ("frame", "clip"))
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
    weights: str = "stored"  # or int8: those of all layers but the last (runtime/int8.py)

    def __post_init__(self):
        if self.dtype is not None:
            one_of("model.dtype", self.dtype, DTYPES)
        one_of("model.position_rule", self.position_rule, ("max", "hf5"))
        one_of("model.weights", self.weights, WEIGHTS)


@dataclasses.dataclass(frozen=True)
class PromptConfig:
    """`template` is a file with `{question}` that wraps the user's words, or none.

    `video_wrapper` says whether the marks of a video stand around its temporal patches ("wrapped",
    as in transformers since 5.10) or give way to them ("tight", as before), in models that show
    each patch by itself.
    """

    template: str | None = None
    video_wrapper: str = "tight"

    def __post_init__(self):
        one_of("prompt.video_wrapper", self.video_wrapper, ("tight", "wrapped"))


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings that can change an answer, apart from the model, the video and the question."""

    controller: ControllerConfig = dataclasses.field(default_factory=ControllerConfig)
    prune: PruneConfig = dataclasses.field(default_factory=PruneConfig)
    sampling: SamplingConfig = dataclasses.field(default_factory=SamplingConfig)
    video: VideoConfig = dataclasses.field(default_factory=VideoConfig)
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    prompt: PromptConfig = dataclasses.field(default_factory=PromptConfig)

    def __post_init__(self):
        placement, fraction = self.controller.placement, self.prune.fraction
        if "@" in placement and fraction:
            raise UserError(
                f"controller.placement: expected no layer with prune.fraction {fraction:g}, where "
                f"each layer drops slots of its own, got {shown(placement)}"
            )

    def check_samples(self, samples: int, *, video: bool = True) -> None:
        """Raises UserError where so many answers to one question would all be the same.

        `video`: whether the question has a clip, which most methods steer or prune by.
        """
        if samples < 1:
            raise UserError(f"samples: expected 1 or more, got {samples}")
        if samples > 1 and not self._chance(video):
            raise UserError(
                "samples: expected 1 at sampling.temperature 0 or top_k 1, where all are the same, "
                f"got {samples}; set a temperature above 0"
            )

    @property
    def is_random(self) -> bool:
        """Whether chance is in it, so that seeds differ: in tokens, alpha, or slots."""
        return self._chance(video=True)

    def _chance(self, video: bool) -> bool:
        pruned = video and self.prune.fraction > 0 and self.prune.policy == "random"
        steered = self.controller.is_random and (
            video or placement_tokens(self.controller.placement) != "video"
        )
        return not self.sampling.is_greedy or pruned or steered

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
