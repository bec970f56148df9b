"""The small JSON files of a checkpoint folder, none of which has to be there."""

import json
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object of a JSON file, {} where there is none; raises UserError if broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: expected a readable JSON file: {reason}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value
