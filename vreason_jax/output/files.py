"""Checks early whether output files can be written, and writes them whole or not at all."""

import json
import os
import stat
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from vreason_jax.errors import UserError


def make_folder(folder: str | Path, flag: str = "output") -> Path:
    """Makes a folder and its parents, and returns it; raises UserError where that fails."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{flag}: cannot make the folder {folder}: {reason}") from None
    return Path(folder)


def check_apart(inputs: Iterable[tuple[str, str]], outputs: Mapping[str, str | None]) -> None:
    """Raises UserError where an output would be written over another file of a run.

    Both are paths by the option that names them. An image within a folder of frames would be one.
    """
    from vreason_jax.video.images import IMAGE_SUFFIXES

    taken = {_real(path): option for option, path in inputs}
    for option, path in outputs.items():
        real = _real(path or os.devnull)
        if os.path.exists(real) and not os.path.isfile(real):
            continue  # what devices are given is gone
        frames = real.lower().endswith(IMAGE_SUFFIXES) and taken.get(os.path.dirname(real))
        other = frames or taken.setdefault(real, option)
        if other != option:
            raise UserError(f"{option}: expected a file of its own, {path} is also {other}'s")


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # the name of no file, which is told where it is read or written
        return path


def check_writable(path: str | Path, flag: str = "output") -> None:
    """Raises UserError if no file can be written at `path`; leaves nothing behind.

    It writes a file of another name beside it, as `write_atomic` will: permission bits say nothing
    about read-only file systems or the rights of root. `flag` names the option in the error.
    """
    path = Path(path)
    try:
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise UserError(f"{flag}: cannot write {path}: it is a folder; give a file name")
        if mode is not None and not os.access(path, os.W_OK):
            raise UserError(f"{flag}: cannot write {path}: no permission to overwrite it")
        if mode is None or stat.S_ISREG(mode):
            _write_beside(path.resolve(), lambda file: None).unlink()
    except (OSError, ValueError) as error:
        raise _unwritable(path, error, flag) from None


def write_atomic(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` with an open binary file, which becomes `path` once it is complete.

    A reader sees the old file or the new one, never a part. A symbolic link keeps its target.
    Devices and pipes are written in place. Raises UserError if the system refuses.
    """
    path = Path(path)
    try:
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            with path.open("wb") as file:
                write(file)
            return
        target = path.resolve()
        os.replace(_write_beside(target, write), target)
    except OSError as error:
        raise _unwritable(path, error, "output") from None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes an indented JSON object, completely or not at all."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes JSON objects, one a line, completely or not at all."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomic(path, lambda file: file.write(text.encode()))


def _write_beside(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Writes a new file in the folder of `path` and returns its name; removes it on failure."""
    temporary = path.with_name(f".vreason-{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _mode(path: Path) -> int | None:
    """Returns file type and permission bits of the target of `path`, or None if there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _unwritable(path: Path, error: Exception, flag: str) -> UserError:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not path.parent.is_dir():
        reason = f"{path.parent} is not a folder; create it first"
    return UserError(f"{flag}: cannot write {path}: {reason}")
