"""TOML files that a command line names: one of a folder of the package, or a path."""

import tomllib
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError


def read_named_toml(name_or_file: str, folder: Path, flag: str) -> tuple[Path, dict[str, Any]]:
    """Returns the path and the content of `folder`/NAME.toml, or of a TOML path.

    Raises UserError, which begins with `flag`, where there is no such file or it is not TOML.
    """
    path = Path(name_or_file)
    if path.suffix != ".toml" and not path.is_file():
        path = folder / f"{name_or_file}.toml"
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        raise UserError(
            f"{flag}: no file {name_or_file!r}; expected a TOML path or one of: {known}"
        ) from None
    except ValueError as error:  # also of bytes that are no text, and of endless numbers
        raise UserError(f"{flag}: {path} is not valid TOML: {error}") from None
