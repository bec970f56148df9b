"""Settings: frozen dataclasses in sections, filled from TOML tables, `--set` and keywords.

A setting is named by its dotted key, `section.field`; its type is the field's annotation: int,
float, bool, str, `X | None`, `tuple[X, ...]` or `Mapping[str, X]`. All programs read their files
and `--set` through this module, so that all refuse a wrong key or value in the same words.
"""

import dataclasses
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from vreason_jax.errors import UserError, nearest, shown
from vreason_jax.toml_files import parse_toml

Settings = TypeVar("Settings")

# What the devices' int32 and float32 hold.
LARGEST = {int: 2**31 - 1, float: 3.4e38}
_WORDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text",
    tuple: "a list", Mapping: "a table",
}  # fmt: skip


def parse_set(argument: str, example: str = "controller.every=8") -> tuple[str, Any]:
    """Splits `KEY=VALUE` into its key and its value, read as TOML or `none`; else it is text.

    Raises UserError, which shows the example, where there is no key or no equals sign.
    """
    key, equals, text = argument.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {shown(argument)}: expected KEY=VALUE, such as {example}")
    text = text.strip()
    if text.lower() == "none":
        # The word is also a value of its own where the key holds text: controller.objective=none.
        return key.strip(), "none"
    try:
        value = parse_toml(f"value = {text}")
    except ValueError:
        return key.strip(), text
    # More than one key came of a text that holds a line break.
    return key.strip(), value["value"] if len(value) == 1 else text


def known_keys(kind: type) -> dict[str, Any]:
    """Returns the type of every dotted key of a dataclass of sections, in the fields' order."""
    return {
        f"{section}.{name}": field
        for section, fields in get_type_hints(kind).items()
        for name, field in get_type_hints(fields).items()
    }


def checked(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values by dotted key, each as its type has it.

    A whole number serves as a float, "none" as None where None is allowed, a list as a tuple.
    Raises UserError for an unknown key, naming the nearest known one, and for another type.
    """
    for key in values:
        if key not in kinds:
            raise UserError(f"unknown config key {shown(key)}{nearest(key, kinds)}")
    return {key: convert(key, value, kinds[key]) for key, value in values.items()}


def table_values(tables: Mapping[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a file's tables by dotted key, checked; raises as `checked` does."""
    sections = dict.fromkeys(key.split(".")[0] for key in kinds)
    for section, fields in tables.items():
        if not isinstance(fields, Mapping):
            example = f"[{next(iter(sections))}]"
            raise UserError(
                f"unknown config key {shown(section)}: keys stand in tables, as {example}"
            )
        if section not in sections:
            raise UserError(f"unknown config table {shown(section)}{nearest(section, sections)}")
    values = {f"{section}.{key}": v for section, t in tables.items() for key, v in t.items()}
    return checked(values, kinds)


def apply_overrides(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Returns a dataclass of sections with dotted keys replaced; raises UserError as `checked`."""
    changes: dict[str, dict[str, Any]] = {}
    for key, value in checked(values, known_keys(type(settings))).items():
        section, field = key.split(".")
        changes.setdefault(section, {})[field] = value
    sections = {
        section: dataclasses.replace(getattr(settings, section), **fields)
        for section, fields in changes.items()
    }
    return dataclasses.replace(settings, **sections)  # type: ignore[type-var]


def one_of(key: str, value: str, choices: Iterable[str]) -> None:
    """Raises UserError where the value is none of the choices."""
    if value not in choices:
        raise UserError(f"{key}: expected one of {', '.join(choices)}, got {shown(value)}")


def in_range(
    key: str, value: Any, low: float, high: float | None = None, *, open_low=False, open_high=False
) -> None:
    """Raises UserError where a number is not between low and high; None passes.

    Open ends are excluded. Without `high`, the end is the largest number of the type of `low` that
    the devices hold. NaN lies in no range.
    """
    if value is None:
        return
    if high is None:
        high = LARGEST[type(low)]
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise UserError(
            f"{key}: expected a value in {left}{low}, {high}{right}, got {shown(value)}"
        )


def convert(key: str, value: Any, kind: Any) -> Any:
    """Returns a setting's value as one of its `kind`; raises UserError for one of another.

    Scalars of NumPy and fractions are numbers, and paths texts.
    """
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    optional = type(None) in get_args(kind)
    if optional:
        if value is None or value == "none":
            return None
        kind = next(arg for arg in get_args(kind) if arg is not type(None))
    base = get_origin(kind) or kind
    rational = isinstance(value, numbers.Rational) and not isinstance(value, bool)
    if base is float and rational and abs(value) <= LARGEST[float]:
        return float(value)
    if base is tuple and isinstance(value, list | tuple):
        item = get_args(kind)[0]
        return tuple(convert(f"{key}[{i}]", part, item) for i, part in enumerate(value))
    if base is Mapping and isinstance(value, dict):
        item = get_args(kind)[1]
        return {name: convert(f"{key}[{shown(name)}]", part, item) for name, part in value.items()}
    if type(value) is not base:
        hint = " or none" if optional else ""
        raise UserError(f"{key}: expected {_WORDS[base]}{hint}, got {shown(value)}")
    return value
