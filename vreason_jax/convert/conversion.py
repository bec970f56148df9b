"""Converts a checkpoint folder: writes its weights in the other form, copies its small files."""

import errno
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from vreason_jax.convert.safetensors_export import write_safetensors
from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.families.registry import read_model_config
from vreason_jax.json_files import read_json
from vreason_jax.model.config import ModelConfig
from vreason_jax.output.folders import written_whole
from vreason_jax.runtime import names, orbax_files, tensor_files
from vreason_jax.runtime.checkpoint import load_arrays
from vreason_jax.runtime.hub import COMPANIONS, resolve_model_folder

# What travels beside the weights: configs, tokenizer, templates, model card and licence.
_COMPANIONS = (*COMPANIONS, "README.md", "LICENSE*")

_WRITTEN_HERE = ("config.json", tensor_files.INDEX, orbax_files.SIZES)


def convert(
    source: str | Path, target: Path, dtype: str | None, *, warn: Callable[[str], None]
) -> None:
    """Writes the checkpoint `source` (folder or hub id) to `target` in the other form.

    Safetensors become Orbax, Orbax becomes safetensors. Weights are cast to `dtype`; None keeps
    each tensor's own. `target` must be new or empty. It gets the whole checkpoint or nothing.
    Raises UserError for wrong input, WrongTensors for tensors that do not fit config.json.
    """
    folder, target = resolve_model_folder(source), _resolved(target)
    _check_target(target)
    config = read_model_config(folder)
    with warnings.catch_warnings():  # of NumPy, which names no tensor
        warnings.filterwarnings("ignore", "overflow encountered in cast")
        actual, arrays = load_arrays(folder, config, dtype, warn=warn)
    if dtype == "float16":
        _check_range(folder, actual, arrays)
    try:
        with written_whole(target) as draft:
            _check_room(draft, sum(array.nbytes for array in arrays.values()))
            _copy_companions(folder, draft)
            _write_config(folder, draft, config, actual, dtype)
            if orbax_files.is_converted(folder):
                write_safetensors(draft, actual, arrays)
            else:
                orbax_files.save_arrays(draft, arrays)
    except OSError as error:
        reason = one_line(error.strerror or error)
        raise UserError(f"--to {target}: cannot be written: {reason}") from None


def _check_range(folder: Path, config: ModelConfig, arrays: Mapping[str, jax.Array]) -> None:
    """Raises UserError where a number has become infinite that is stored as a finite one."""
    counts = {path: _infinite(array) for path, array in arrays.items()}
    if not any(counts.values()):
        return
    _, stored = load_arrays(folder, config, None, verify=False, warn=lambda line: None)
    for tensor in names.expected_tensors(config).values():
        if counts[tensor.path] > _infinite(stored[tensor.path]):
            raise UserError(
                f"--dtype float16: expected numbers up to 65504, {tensor.name} has larger ones; "
                "take --dtype bfloat16"
            )


@jax.jit
def _infinite(array: jax.Array) -> jax.Array:
    return jnp.isinf(array).sum()


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


def _check_room(folder: Path, needed: int) -> None:
    """Raises OSError where the disk is too small: Orbax's threads would find out noisily."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        reason = f"the weights have {needed / 1e9:.3g} GB, {free / 1e9:.3g} GB of the disk are free"
        raise OSError(errno.ENOSPC, reason)


def _copy_companions(folder: Path, draft: Path) -> None:
    for pattern in _COMPANIONS:
        for file in folder.glob(pattern):
            if file.is_file() and file.name not in _WRITTEN_HERE:
                copy = draft / file.relative_to(folder)
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(file, copy)


def _write_config(
    folder: Path, draft: Path, config: ModelConfig, actual: ModelConfig, dtype: str | None
) -> None:
    """Copies config.json byte for byte, unless the dtype changes or head and embedding part."""
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
