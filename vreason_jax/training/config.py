"""The one file that a training run follows: sizes of the model, data, optimiser, length."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from vreason_jax.errors import UserError
from vreason_jax.shapes.kinds import KINDS
from vreason_jax.shapes.scene import FRAMES


@dataclasses.dataclass(frozen=True)
class ModelSizes:
    """What config.json will say of the model; widths in numbers, depths in layers."""

    text_layers: int = 4
    text_width: int = 128
    text_mlp_width: int = 384
    heads: int = 4
    kv_heads: int = 2
    rope_theta: float = 300.0
    mrope_section: tuple[int, ...] = (3, 3, 10)
    tied: bool = False
    vision_depth: int = 2
    vision_width: int = 64
    vision_mlp_width: int = 128
    vision_heads: int = 4


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which samples are seen, how often each level, and what of a reply counts how much."""

    batch: int = 32
    frames: int = FRAMES
    kinds: tuple[str, ...] = KINDS  # in turn; one may stand more often than another
    buffer: int = 32  # batches that are sorted by length together
    reply_multiple: int = 16  # tokens: replies are padded to the next one
    prompt_tokens: int = 152  # prompts are padded to this length
    # (share of the steps, weights of levels 1, 2 and 3) in turn
    stages: tuple[tuple[float, ...], ...] = ((1.0, 1.0, 1.0, 1.0),)
    content_weight: float = 3.0  # of words that tell what the clip shows, against 1


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Muon for the matrices, AdamW for the rest."""

    learning_rate: float = 8e-3  # Muon's: the largest singular value of an update, for wide ones
    adam_learning_rate: float = 3e-3
    warmup: float = 0.03  # share of the steps
    decay: float = 0.5  # share of the steps, at the end
    weight_decay: float = 0.01
    clip_norm: float = 1.0


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Length, seed, and how often what is written."""

    steps: int = 2000
    seed: int = 0
    dtype: str = "bfloat16"  # of the exported weights
    devices: int = 2  # of a CPU, each with one thread; an accelerator uses all it has
    save_every: int = 100
    validate_every: int = 250
    validate_questions: int = 240
    validate_batch: int = 48
    max_new_tokens: int = 320


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that the bytes of the result depend on."""

    model: ModelSizes = dataclasses.field(default_factory=ModelSizes)
    data: DataOptions = dataclasses.field(default_factory=DataOptions)
    optimizer: OptimizerOptions = dataclasses.field(default_factory=OptimizerOptions)
    run: RunOptions = dataclasses.field(default_factory=RunOptions)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns plain nested values, equal to what JSON gives back."""
        plain = dataclasses.asdict(self)
        return {name: {k: _listed(v) for k, v in table.items()} for name, table in plain.items()}


def load_train_config(path: str | Path, overrides: dict[str, Any] | None = None) -> TrainConfig:
    """Returns the config of a TOML file, with dotted keys ("run.steps") overridden.

    Raises UserError for an unreadable file, an unknown key or a value of another type.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: expected a training config: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected TOML: {error}") from None
    for key, value in (overrides or {}).items():
        section, _, name = key.partition(".")
        tables.setdefault(section, {})[name] = value
    try:
        return train_config(tables)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def train_config(tables: dict[str, Any]) -> TrainConfig:
    """Returns the config of nested plain values; raises UserError for what does not fit."""
    sections = get_type_hints(TrainConfig)
    for name, table in tables.items():
        if name not in sections or not isinstance(table, dict):
            raise UserError(f"expected the tables {', '.join(sections)}, got {name!r}")
    config = TrainConfig(
        **{name: _section(kind, name, tables.get(name, {})) for name, kind in sections.items()}
    )
    _check(config)
    return config


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Returns "run.steps: 10, not 20" for every value of `first` that differs in `second`."""
    found = []
    for name in first:
        for key, value in first[name].items():
            other = second.get(name, {}).get(key)
            if value != other:
                found.append(f"{name}.{key}: {value}, not {other}")
    return found


def _section(kind: Any, section: str, table: dict[str, Any]) -> Any:
    types = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        if key not in types:
            raise UserError(f"unknown key {section}.{key}; expected one of {', '.join(types)}")
        values[key] = _convert(f"{section}.{key}", value, types[key])
    return kind(**values)


def _convert(key: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise UserError(f"{key}: expected a list, got {value!r}")
        return tuple(_convert(key, item, get_args(kind)[0]) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UserError(f"{key}: expected {kind.__name__}, got {value!r}")
    return value


def _check(config: TrainConfig) -> None:
    model, data, run = config.model, config.data, config.run
    for key, value in (("data.batch", data.batch), ("run.steps", run.steps)):
        if value < 1:
            raise UserError(f"{key}: expected at least 1, got {value}")
    if sum(model.mrope_section) * 2 * model.heads != model.text_width:
        raise UserError(
            f"model.mrope_section: expected a sum of {model.text_width // model.heads // 2}, half "
            f"the head width, got {list(model.mrope_section)}"
        )
    if not data.kinds or set(data.kinds) - set(KINDS):
        raise UserError(f"data.kinds: expected some of {', '.join(KINDS)}, got {list(data.kinds)}")
    if any(len(stage) != 4 for stage in data.stages):
        raise UserError("data.stages: expected [share of the steps, weights of levels 1, 2, 3]")
    if abs(sum(stage[0] for stage in data.stages) - 1) > 1e-6:
        raise UserError("data.stages: expected shares of the steps that sum to 1")


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
