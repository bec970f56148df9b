"""The families there are: a config.json's model_type finds its own here."""

import functools
import re
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.families import qwen2_vl, qwen3_vl, qwen25_vl
from vreason_jax.families.family import Family
from vreason_jax.json_files import parse_json
from vreason_jax.model.config import ModelConfig
from vreason_jax.regular_files import read_text

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        qwen25_vl.FAMILY,
        qwen2_vl.FAMILY,
        qwen3_vl.FAMILY,
    )
}  # fmt: skip


def family_of(config: ModelConfig) -> Family:
    """Returns the family of a model."""
    return FAMILIES[config.family]


def read_model_config(folder: Path) -> ModelConfig:
    """Returns the ModelConfig of a checkpoint folder; raises UserError for what it cannot run."""
    path = folder / "config.json"
    adapter = next(folder.glob("adapter_model.*"), None)
    if adapter is not None and (folder / "adapter_config.json").exists():
        raise UserError(
            f"{folder}: expected whole weights, got an adapter ({adapter.name}); merge it into its "
            "base model first, with peft: merge_and_unload, save_pretrained"
        )
    try:
        values = parse_json(read_text(path))
    except FileNotFoundError:
        raise UserError(
            f"{folder}: expected a checkpoint folder with a config.json, found none"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {one_line(error.strerror or error)}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {one_line(error)}") from None
    try:
        return model_config_from_hf(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def model_config_from_hf(values: Any) -> ModelConfig:
    """Returns the ModelConfig of a parsed config.json.

    Raises UserError for another architecture, a missing key, or a feature that no published model
    of its family uses.
    """
    name = values.get("model_type") if isinstance(values, dict) else values
    if not isinstance(name, str) or name not in FAMILIES:
        known = " or ".join(map(repr, FAMILIES))
        raise UserError(f"expected model_type {known}, got {shown(name)}")
    if quantised := values.get("quantization_config"):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise UserError(
            "expected unquantised weights, got a quantization_config of "
            f"{shown(method or quantised)}"
        )
    try:
        return FAMILIES[name].read(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"a value has the wrong type: {one_line(error)}") from None


def published_names() -> tuple[str, ...]:
    """Returns the names of the published models."""
    return tuple(name for family in FAMILIES.values() for name in family.published)


def published_name(model: str) -> str | None:
    """Returns which of `published_names` a name or a hub id stands for, or None."""
    name = model.lower()
    if found := re.fullmatch(r"(?:qwen/)?qwen(2|2\.5|3)-vl-(\d+b)(?:-instruct|-thinking)?", name):
        prefix = "" if found[1] == "2.5" else f"qwen{found[1]}vl-"
        name = prefix + found[2]
    return name if name in published_names() else None


@functools.cache
def published_config(name: str) -> ModelConfig:
    """Returns the ModelConfig of a published model, one of `published_names`."""
    found = (family.published for family in FAMILIES.values())
    return model_config_from_hf(next(models[name] for models in found if name in models))
