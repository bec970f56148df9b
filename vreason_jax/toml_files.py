"""TOML, read in one way everywhere; also files that an option names, by name or path."""

import tomllib
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, nearest, one_line, shown
from vreason_jax.regular_files import read_text


def parse_toml(text: str) -> dict[str, Any]:
    """Returns the table of a TOML text; raises ValueError for any text that cannot be read."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def names_in(folder: Path) -> list[str]:
    """Returns the names of the TOML files in a folder."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def read_named_toml(name_or_file: str, folder: Path, flag: str) -> tuple[Path, dict[str, Any]]:
    """Returns the path and the content of `folder`/NAME.toml, or of a TOML path.

    Raises UserError, which begins with `flag`, where there is no such file or it is not TOML.
    """
    path = Path(name_or_file)
    if path.suffix != ".toml" and (not path.exists() or path.is_dir()):
        path = folder / f"{name_or_file}.toml"
    try:
        return path, parse_toml(read_text(path))
    except FileNotFoundError:
        known = names_in(folder)
        raise UserError(
            f"{flag}: no file {shown(name_or_file)}; expected a TOML path or one of: "
            f"{', '.join(known)}{nearest(name_or_file, known)}"
        ) from None
    except OSError as error:
        raise UserError(
            f"{flag}: cannot read {shown(str(path))}: {one_line(error.strerror or error)}"
        ) from None
    except ValueError as error:  # also of bytes that are no text, and of endless numbers
        raise UserError(f"{flag}: {path} is not valid TOML: {one_line(error)}") from None
