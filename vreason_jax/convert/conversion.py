"""Conversion of a checkpoint folder: weights in the other form, the small files alongside."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vreason_jax.convert.safetensors_export import write_safetensors
from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.json_files import read_json
from vreason_jax.model.config import ModelConfig, read_model_config
from vreason_jax.runtime import orbax_files, tensor_files
from vreason_jax.runtime.checkpoint import load_arrays
from vreason_jax.runtime.hub import resolve_model_folder

# What travels beside the weights: configs, tokenizer, templates, model card and licence.
_COMPANIONS = ("*.json", "*.txt", "*.jinja", "README.md", "LICENSE*")

_WRITTEN_HERE = ("config.json", tensor_files.INDEX, orbax_files.SIZES)


def convert(
    source: str | Path, target: Path, dtype: str | None, *, warn: Callable[[str], None]
) -> None:
    """Writes the checkpoint `source` (folder or hub id) to `target` in the other form.

    Safetensors become Orbax and the reverse; `dtype` none keeps each tensor's own. `target` must be
    new or empty, and holds either the whole checkpoint afterwards or what it held before.
    Raises UserError for wrong input, WrongTensors for tensors that do not fit config.json.
    """
    folder, target = resolve_model_folder(source), _resolved(target)
    _check_target(target)
    config = read_model_config(folder)
    actual, arrays = load_arrays(folder, config, dtype, warn=warn)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise UserError(f"--to {target}: cannot be written: {error.strerror}") from None
    try:
        _copy_companions(folder, draft)
        _write_config(folder, draft, config, actual, dtype)
        if orbax_files.is_converted(folder):
            write_safetensors(draft, actual, arrays)
        else:
            orbax_files.save_arrays(draft, arrays)
        _publish(draft, target)
    except OSError as error:
        raise UserError(f"--to {target}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _resolved(target: Path) -> Path:
    try:
        return target.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # of nobody's home, or with a NUL
        raise UserError(
            f"--to: expected a folder, got {shown(str(target))}: {one_line(error)}"
        ) from None


def _check_target(target: Path) -> None:
    if target.is_dir():
        if any(target.iterdir()):
            raise UserError(f"--to {target}: expected a new or empty folder, it holds files")
    elif target.exists():
        raise UserError(f"--to {target}: expected a folder, got a file")


def _copy_companions(folder: Path, draft: Path) -> None:
    for pattern in _COMPANIONS:
        for file in folder.glob(pattern):
            if file.is_file() and file.name not in _WRITTEN_HERE:
                shutil.copyfile(file, draft / file.name)


def _write_config(
    folder: Path, draft: Path, config: ModelConfig, actual: ModelConfig, dtype: str | None
) -> None:
    """config.json as it was, byte for byte, unless dtype or tie changed."""
    values = read_json(folder / "config.json")
    if dtype is None and actual == config:
        shutil.copyfile(folder / "config.json", draft / "config.json")
        return
    if dtype is not None:
        _set_dtype(values, dtype)
    if actual.text.tied != config.text.tied:
        values["tie_word_embeddings"] = actual.text.tied
        if isinstance(values.get("text_config"), dict):
            values["text_config"]["tie_word_embeddings"] = actual.text.tied
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    (draft / "config.json").write_text(text, encoding="utf-8")


def _set_dtype(values: dict[str, Any], dtype: str) -> None:
    if "dtype" not in values and "torch_dtype" not in values:
        values["torch_dtype"] = dtype
    sections = [values, values.get("text_config"), values.get("vision_config")]
    for section in sections:
        for key in ("dtype", "torch_dtype"):
            if isinstance(section, dict) and key in section:
                section[key] = dtype


def _publish(draft: Path, target: Path) -> None:
    """Moves the finished folder to its place in one step, open to whom the user's umask allows."""
    mask = os.umask(0)
    os.umask(mask)
    draft.chmod(0o777 & ~mask)  # mkdtemp makes folders for the owner alone, safetensors files
    for file in draft.glob("*.safetensors"):
        file.chmod(0o666 & ~mask)
    draft.replace(target)
