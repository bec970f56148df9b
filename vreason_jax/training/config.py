"""The config of a training run: sizes of the model, data, optimiser, length."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vreason_jax.config import CONFIG_FOLDER, DTYPES
from vreason_jax.errors import UserError, shown
from vreason_jax.families.registry import FAMILIES
from vreason_jax.families.sizes import ModelSizes
from vreason_jax.geometry import Geometry
from vreason_jax.settings import apply_overrides, in_range, known_keys, one_of, table_values
from vreason_jax.shapes.kinds import KINDS
from vreason_jax.shapes.scene import FRAMES
from vreason_jax.toml_files import read_named_toml

_TRAINED = {name: family for name, family in FAMILIES.items() if family.small}
FOLDER = CONFIG_FOLDER / "train"
GEOMETRY = Geometry(patch_pixels=14, merge=2, temporal_patch=2)  # of the models that are trained


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """The mix of samples and levels, and the weights of a reply's tokens in the loss."""

    batch: int = 32
    shown: str = "video"  # or "words", which say what the clip shows
    frames: int = FRAMES
    kinds: tuple[str, ...] = KINDS  # in turn; one may stand more often than another
    buffer: int = 32  # batches that are sorted by length together
    reply_multiple: int = 16  # tokens: replies are padded to the next one
    prompt_tokens: int = 152  # prompts are padded to this length
    # (share of the steps, weights of levels 1, 2 and 3) in turn
    stages: tuple[tuple[float, ...], ...] = ((1.0, 1.0, 1.0, 1.0),)
    content_weight: float = 3.0  # of words that say what the clip shows, against 1

    def __post_init__(self):
        for name in ("batch", "frames", "buffer", "reply_multiple", "prompt_tokens"):
            in_range(f"data.{name}", getattr(self, name), 1)
        one_of("data.shown", self.shown, ("video", "words"))
        in_range("data.content_weight", self.content_weight, 0.0)
        if not self.kinds:
            raise UserError(f"data.kinds: expected some of {', '.join(KINDS)}, got none")
        for kind in self.kinds:
            one_of("data.kinds", kind, KINDS)
        if any(len(stage) != 4 for stage in self.stages):
            raise UserError("data.stages: expected [share of the steps, weights of levels 1, 2, 3]")
        for share, *weights in self.stages:
            if not (share > 0 and all(0 <= w < math.inf for w in weights) and any(weights)):
                raise UserError(
                    "data.stages: expected shares above 0, and weights from 0 of which one is "
                    f"above 0, got {shown([share, *weights])}"
                )
        if abs(sum(stage[0] for stage in self.stages) - 1) > 1e-6:
            raise UserError("data.stages: expected shares of the steps that sum to 1")


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Muon for the matrices, AdamW for the rest."""

    learning_rate: float = 8e-3  # Muon's: the largest singular value of an update, for wide ones
    adam_learning_rate: float = 3e-3
    warmup: float = 0.03  # share of the steps
    decay: float = 0.5  # share of the steps, at the end
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    def __post_init__(self):
        for name in ("learning_rate", "adam_learning_rate", "weight_decay"):
            in_range(f"optimizer.{name}", getattr(self, name), 0.0)
        for name in ("warmup", "decay"):
            in_range(f"optimizer.{name}", getattr(self, name), 0.0, 1.0)
        in_range("optimizer.clip_norm", self.clip_norm, 0.0, open_low=True)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Length, seed, and the periods of snapshots and validation."""

    steps: int = 2000
    seed: int = 0
    dtype: str = "bfloat16"  # of the exported weights
    devices: int = 2  # of a CPU, each with one thread; an accelerator uses all it has
    save_every: int = 100
    validate_every: int = 250
    validate_questions: int = 240
    validate_batch: int = 48
    max_new_tokens: int = 320

    def __post_init__(self):
        for name in ("steps", "devices", "save_every", "validate_every", "validate_batch"):
            in_range(f"run.{name}", getattr(self, name), 1)
        in_range("run.seed", self.seed, 0)
        in_range("run.validate_questions", self.validate_questions, 0)
        in_range("run.max_new_tokens", self.max_new_tokens, 1)
        one_of("run.dtype", self.dtype, DTYPES)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """All settings that determine the bytes of the result."""

    model: ModelSizes = dataclasses.field(default_factory=lambda: ModelSizes(next(iter(_TRAINED))))
    data: DataOptions = dataclasses.field(default_factory=DataOptions)
    optimizer: OptimizerOptions = dataclasses.field(default_factory=OptimizerOptions)
    run: RunOptions = dataclasses.field(default_factory=RunOptions)

    def __post_init__(self):
        one_of("model.family", self.model.family, tuple(_TRAINED))

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns plain nested values, equal to what JSON gives back."""
        plain = dataclasses.asdict(self)
        return {name: {k: _listed(v) for k, v in table.items()} for name, table in plain.items()}


def load_train_config(
    name_or_file: str | Path, overrides: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Returns the config of a name in configs/train or of a TOML path, overridden by dotted keys.

    Raises UserError for an unreadable file, an unknown key, or a value of another type or range.
    """
    path, tables = read_named_toml(str(name_or_file), FOLDER, "--config")
    try:
        return train_config(tables, overrides)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def train_config(
    tables: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Returns the config of nested plain values; raises UserError for what does not fit."""
    values = table_values(tables, known_keys(TrainConfig))
    return apply_overrides(TrainConfig(), {**values, **(overrides or {})})


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Returns "run.steps: 10, not 20" for every value of `first` that differs in `second`."""
    found = []
    for name in first:
        for key, value in first[name].items():
            other = second.get(name, {}).get(key)
            if value != other:
                found.append(f"{name}.{key}: {value}, not {other}")
    return found


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
