"""Weights from a checkpoint folder into device arrays, without a second copy in host memory."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, SingleDeviceSharding

from vreason_jax.families.model import Model, abstract_model
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime import check, names, orbax_files, tensor_files
from vreason_jax.runtime.loading import Wanted, load
from vreason_jax.runtime.mesh import parameter_sharding
from vreason_jax.runtime.sharing import share, shared_config
from vreason_jax.runtime.tensor_files import StoredTensor

Warn = Callable[[str], None]


def load_model(
    folder: Path,
    config: ModelConfig,
    dtype: jnp.dtype | str,
    mesh: Mesh | None = None,
    *,
    verify: bool = True,
    warn: Warn | None = None,
) -> Model:
    """Returns the model of a checkpoint folder, its parameters in `dtype` on the devices.

    Args:
      folder: in HF layout (safetensors) or converted (Orbax), told apart by what it holds.
      mesh: where the parameters lie (runtime/mesh.py); none is the first device alone.
      verify: whether the bytes of converted weights are checked. Of several processes each
        checks all files, as each reads of all of them.
      warn: takes a line of text; left out, it goes to stderr.

    The model's own `config` says whether head and embedding are tied, where the files may decide
    otherwise than config.json, and how the devices share its heads. Raises UserError for damaged
    files, WrongTensors for others than the config asks for.
    """
    config, arrays = load_arrays(folder, config, dtype, mesh, verify=verify, warn=warn)
    if mesh is not None:
        shared = shared_config(config, mesh.shape["model"])
        arrays, config = share(arrays, config, shared, mesh), shared
    return build_model(config, arrays)


def load_arrays(
    folder: Path,
    config: ModelConfig,
    dtype: jnp.dtype | str | None,
    mesh: Mesh | None = None,
    *,
    verify: bool = True,
    warn: Warn | None = None,
) -> tuple[ModelConfig, dict[str, jax.Array]]:
    """Returns the config as the weights have it, and every parameter by dotted path.

    Args as `load_model`; `dtype` none keeps each tensor's own.
    """
    if orbax_files.is_converted(folder):
        orbax_files.check_files(folder, verify=verify, warn=warn or _to_stderr)
        return config, _load_converted(folder, config, dtype, mesh)
    tensors, repeated = _by_hub_name(tensor_files.stored_tensors(folder))
    check.check_depth(folder, config, len(tensors))
    _check_tensors(folder, config, tensors, repeated)
    config = _settle_tie(tensors, config, warn or _to_stderr)
    expected = names.expected_tensors(config)
    wanted = []
    for name, parameter in expected.items():
        stored = dataclasses.replace(tensors[name], shape=parameter.shape)
        target = stored.dtype if dtype is None else np.dtype(dtype)
        wanted.append(Wanted(stored, target, _sharding(parameter, mesh)))
    paths = (parameter.path for parameter in expected.values())
    return config, dict(zip(paths, load(wanted), strict=True))


def build_model(config: ModelConfig, arrays: Mapping[str, jax.Array]) -> Model:
    """Returns the model with `arrays` (by dotted path) as its parameters."""
    graph, state = nnx.split(abstract_model(config))
    flat = [
        (path, leaf.replace(arrays[names.dotted(path)])) for path, leaf in nnx.to_flat_state(state)
    ]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def _by_hub_name(stored: list[StoredTensor]) -> tuple[dict[str, StoredTensor], list[str]]:
    """The tensors under the Hub's names, and the names of those that stand there twice."""
    tensors, repeated = {}, []
    for tensor in stored:
        name = names.canonical_name(tensor.name)
        if name is None:
            continue
        if name in tensors:
            repeated.append(tensor.name)
        tensors.setdefault(name, tensor)
    return tensors, repeated


def _check_tensors(folder, config, tensors, repeated) -> None:
    # A head is let through under a tied config: `_settle_tie` reads it once all shapes are right.
    probe = _untied(config) if names.HEAD in tensors else config
    expected = names.expected_tensors(probe)
    found = {
        # What belongs nowhere is listed as the file calls it.
        name if name in expected else tensor.name: tensor.shape
        for name, tensor in tensors.items()
    }
    problems = check.find_problems(check.stored_shapes(expected), found, repeated)
    if problems:
        raise check.WrongTensors(folder, problems)


def _settle_tie(tensors: dict[str, StoredTensor], config: ModelConfig, warn: Warn) -> ModelConfig:
    """The config as the files have it: fine-tunes of tied models may come with a head.

    One that equals the embedding is left unread, another one unties.
    """
    if not config.text.tied or names.HEAD not in tensors:
        return config
    if _equal(tensors[names.HEAD], tensors[names.EMBEDDING]):
        return config
    warn(
        "config.json ties head and embedding, but lm_head.weight in the files differs from the "
        "embedding: both are used"
    )
    return _untied(config)


def _untied(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, text=dataclasses.replace(config.text, tied=False))


def _equal(first: StoredTensor, second: StoredTensor) -> bool:
    if first.dtype != second.dtype:
        return False
    chunks = zip(tensor_files.read_chunks(first), tensor_files.read_chunks(second), strict=True)
    return all(np.array_equal(a.view(np.uint8), b.view(np.uint8)) for a, b in chunks)


def _load_converted(folder, config, dtype, mesh) -> dict[str, jax.Array]:
    stored = orbax_files.array_metadata(folder)
    check.check_depth(folder, config, len(stored))
    expected = names.expected_tensors(config)
    found = {path: tuple(leaf.shape) for path, leaf in stored.items()}
    problems = check.find_problems(check.model_shapes(expected), found)
    if problems:
        raise check.WrongTensors(folder, problems)
    abstract = {
        parameter.path: jax.ShapeDtypeStruct(
            parameter.shape,
            stored[parameter.path].dtype if dtype is None else jnp.dtype(dtype),
            sharding=_sharding(parameter, mesh),
        )
        for parameter in expected.values()
    }
    return orbax_files.load_arrays(folder, abstract)


def _sharding(parameter: names.ExpectedTensor, mesh: Mesh | None):
    if mesh is None:
        return SingleDeviceSharding(jax.local_devices()[0])
    return parameter_sharding(parameter.row, parameter.shape, mesh)


def _to_stderr(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)
