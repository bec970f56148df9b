"""JSON, read in one way everywhere."""

import json
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, reason_of
from vreason_jax.regular_files import read_text

_DECODER = json.JSONDecoder()
_DEEP = "its values are nested too deeply"


def parse_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text; raises ValueError for any text that cannot be read.

    As Python's reader and transformers have it: of a key that stands twice the last value counts,
    and NaN, Infinity and single surrogates are taken. Who uses a value checks it.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(_DEEP) from None


def decode_json(text: str, start: int) -> tuple[Any, int]:
    """Returns the value that begins at `start` of a text, and where it ends; raises ValueError."""
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError(_DEEP) from None


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object of a JSON file, {} where there is none; raises UserError if broken."""
    try:
        value = parse_json(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a readable JSON file: {reason_of(error)}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value
