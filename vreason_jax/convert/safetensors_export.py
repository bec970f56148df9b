"""Writes arrays as Hugging Face safetensors: the Hub's tensor names, transformers' shards."""

import json
from pathlib import Path

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from vreason_jax.errors import one_line
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime import names, tensor_files

SHARD_BYTES = 5 * 10**9


def write_safetensors(
    folder: Path, config: ModelConfig, arrays: dict[str, jax.Array], shard_bytes: int = SHARD_BYTES
) -> None:
    """Writes the parameters (by dotted path) as one file, or as shards with an index.

    No shard is larger than `shard_bytes`, unless one tensor alone is. Raises OSError where the
    system refuses.
    """
    tensors = {
        tensor.name: np.asarray(arrays[tensor.path]).reshape(tensor.stored_shape)
        for tensor in names.expected_tensors(config).values()
    }
    shards = _shards({name: tensor.nbytes for name, tensor in tensors.items()}, shard_bytes)
    if len(shards) == 1:
        _write(folder / tensor_files.SINGLE, tensors)
        return
    weight_map = {}
    for number, members in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write(folder / file, {name: tensors[name] for name in members})
        weight_map.update(dict.fromkeys(members, file))
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": dict(sorted(weight_map.items())),
    }
    (folder / tensor_files.INDEX).write_text(json.dumps(index, indent=2) + "\n")


def _shards(sizes: dict[str, int], limit: int) -> list[list[str]]:
    """Groups the names, in their order, into shards that no tensor makes exceed the limit."""
    shards, filled = [[]], 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def _write(file: Path, tensors: dict[str, np.ndarray]) -> None:
    try:
        # transformers refuses files whose metadata does not name a framework.
        save_file(tensors, file, metadata={"format": "pt"})
    except SafetensorError as error:  # also of a full disk
        raise OSError(one_line(error)) from None
