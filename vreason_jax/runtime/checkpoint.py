"""Weights from a checkpoint folder into device arrays, without a second copy in host memory."""

import dataclasses
import functools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from vreason_jax.families.model import Model, abstract_model
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime import check, names, orbax_files, tensor_files
from vreason_jax.runtime.int8 import quantised_on_devices, scale_path
from vreason_jax.runtime.loading import Wanted, load
from vreason_jax.runtime.mesh import parameter_sharding
from vreason_jax.runtime.sharing import Share, as_stored, make, shared_config, shares
from vreason_jax.runtime.tensor_files import StoredTensor

Warn = Callable[[str], None]
_NUMBERS_AT_ONCE = 2**29  # of converted weights; reading them costs some milliseconds each time


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
    config, read = _opened(folder, config, verify, warn or _to_stderr)
    shared = shared_config(config, 1 if mesh is None else mesh.shape["model"])
    return build_model(shared, read(shares(config, shared), dtype, mesh))


def load_arrays(
    folder: Path,
    config: ModelConfig,
    dtype: jnp.dtype | str | None,
    mesh: Mesh | None = None,
    *,
    verify: bool = True,
    warn: Warn | None = None,
) -> tuple[ModelConfig, dict[str, jax.Array]]:
    """Returns the config as the weights have it, and every tensor by its dotted path.

    Args as `load_model`; `dtype` none keeps each tensor's own.
    """
    config, read = _opened(folder, config, verify, warn or _to_stderr)
    return config, read(as_stored(config), dtype, mesh)


def build_model(config: ModelConfig, arrays: Mapping[str, jax.Array]) -> Model:
    """Returns the model with `arrays` (by dotted path) as its parameters, joined as they are."""
    graph, state = nnx.split(abstract_model(config))
    flat = [
        (path, leaf.replace(arrays[names.dotted(path)])) for path, leaf in nnx.to_flat_state(state)
    ]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def _opened(folder: Path, config: ModelConfig, verify: bool, warn: Warn):
    """The config as the weights have it, and what reads shares of them: `_read_files` or so."""
    if orbax_files.is_converted(folder):
        orbax_files.check_files(folder, verify=verify, warn=warn)
        stored = orbax_files.array_metadata(folder)
        check.check_depth(folder, config, len(stored))
        expected = check.model_shapes(names.expected_tensors(config))
        _raise_problems(folder, expected, {path: leaf.shape for path, leaf in stored.items()})
        return config, functools.partial(_read_converted, folder, stored)
    stored = tensor_files.stored_tensors(folder, names.is_ignored)
    check.check_depth(folder, config, len(stored))
    tensors, repeated = _by_hub_name(stored, config)
    _check_tensors(folder, config, tensors, repeated)
    return _settle_tie(tensors, config, warn), functools.partial(_read_files, tensors)


def _read_files(
    tensors: Mapping[str, StoredTensor],
    wanted: Sequence[Share],
    dtype: jnp.dtype | str | None,
    mesh: Mesh | None,
) -> dict[str, jax.Array]:
    """Reads safetensors: each run of rows to where the parameter has it."""

    def one(share: Share) -> Wanted:
        stored = [dataclasses.replace(tensors[t.name], shape=t.shape) for t in share.tensors]
        target = stored[0].dtype if dtype is None or share.int8 else np.dtype(dtype)
        sharding = parameter_sharding(share.cut, share.shape, mesh)
        return Wanted(tuple(stored), share, target, sharding)

    return {
        path: array
        for arrays in load([one(share) for share in wanted])
        for path, array in arrays.items()
    }


def _read_converted(
    folder: Path,
    stored: Mapping[str, jax.ShapeDtypeStruct],
    wanted: Sequence[Share],
    dtype: jnp.dtype | str | None,
    mesh: Mesh | None,
) -> dict[str, jax.Array]:
    """Reads Orbax's arrays to the devices, and makes there what they are parts of."""

    def abstract(share: Share, tensor: names.ExpectedTensor) -> jax.ShapeDtypeStruct:
        kept = dtype is None or share.int8
        target = stored[tensor.path].dtype if kept else jnp.dtype(dtype)
        cut = share.cut if tensor.shape == share.shape else tensor.row.cut
        sharding = parameter_sharding(cut, tensor.shape, mesh)
        return jax.ShapeDtypeStruct(tensor.shape, target, sharding=sharding)

    made = {}
    for some in _in_parts(wanted):
        of = {each.path: abstract(share, each) for share in some for each in share.tensors}
        arrays = orbax_files.load_arrays(folder, of)
        for share in some:
            parts = [arrays.pop(tensor.path) for tensor in share.tensors]
            sharding = parameter_sharding(share.cut, share.shape, mesh)
            made[share.path] = make(parts, share, sharding)
            if share.int8:
                pair = quantised_on_devices(made[share.path], sharding)
                made[share.path], made[scale_path(share.path)] = pair
            jax.block_until_ready(made[share.path])
    return made


def _in_parts(wanted: Sequence[Share]) -> Iterator[list[Share]]:
    """Shares by so many that little lies on the devices twice, and no float beside all int8."""
    some, held = [], 0
    for share in wanted:
        some.append(share)
        held += math.prod(share.shape)
        if held > _NUMBERS_AT_ONCE:
            yield some
            some, held = [], 0
    yield some


def _by_hub_name(
    stored: list[StoredTensor], config: ModelConfig
) -> tuple[dict[str, StoredTensor], list[str]]:
    """The tensors under the Hub's names, and the names of those that stand there twice."""
    tensors, repeated = {}, []
    for tensor in stored:
        name = names.canonical_name(tensor.name, config)
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
    _raise_problems(folder, check.stored_shapes(expected), found, repeated)


def _settle_tie(tensors: dict[str, StoredTensor], config: ModelConfig, warn: Warn) -> ModelConfig:
    """The config as the files have it: fine-tunes of tied models may come with a head.

    One that equals the embedding is left unread, another one unties.
    """
    if not config.text.tied or names.HEAD not in tensors:
        return config
    if _equal(tensors[names.HEAD], tensors[names.embedding_name(config)]):
        return config
    warn(
        "config.json ties head and embedding, but lm_head.weight in the files differs from the "
        "embedding: both are used"
    )
    return _untied(config)


def _untied(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, text=dataclasses.replace(config.text, tied=False))


def _equal(first: StoredTensor, second: StoredTensor) -> bool:
    chunks = zip(tensor_files.read_chunks(first), tensor_files.read_chunks(second), strict=True)
    if first.dtype == second.dtype:
        return all(np.array_equal(a.view(np.uint8), b.view(np.uint8)) for a, b in chunks)
    return all(np.array_equal(a.astype(np.float32), b.astype(np.float32)) for a, b in chunks)


def _raise_problems(folder, expected, found, repeated=()) -> None:
    problems = check.find_problems(expected, found, repeated)
    if problems:
        raise check.WrongTensors(folder, problems)


def _to_stderr(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)
