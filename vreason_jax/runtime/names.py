"""The tensors of a checkpoint, and the parameters of a model that they make.

Loading, conversion, export, sharding, planning and training all walk these, so that they cannot
disagree.
"""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vreason_jax.families.model import abstract_model
from vreason_jax.families.registry import family_of
from vreason_jax.model.config import ModelConfig
from vreason_jax.model.tensors import Joint, Row, find_rows

_IGNORED = re.compile(r"rotary_emb\.inv_freq$")  # buffers that old releases saved
HEAD = "lm_head.weight"


class ExpectedTensor(NamedTuple):
    """One tensor of a checkpoint, and how it is stored."""

    path: str  # dotted, in converted weights and in training: "decoder.body.0.mlp.up.weight"
    name: str  # in the Hub's naming
    shape: tuple[int, ...]
    stored_shape: tuple[int, ...]  # in Hugging Face files
    row: Row  # of the table


class Parameter(NamedTuple):
    """One parameter of a model: a tensor, or several that are joined."""

    path: str  # dotted path in the model's state, "decoder.body.0.mlp.gate_up.weight"
    shape: tuple[int, ...]
    cut: int | None  # the axis that is cut over `model`
    tensors: tuple[ExpectedTensor, ...]
    int8: bool  # whether it is a byte a number, and float32 scales beside it (runtime/int8.py)

    @property
    def joint(self) -> Joint | None:
        """How the tensors are joined; None where there is one."""
        return self.tensors[0].row.joint


@functools.lru_cache(maxsize=32)
def parameters(config: ModelConfig) -> tuple[Parameter, ...]:
    """Returns every parameter of a model, in the order of its state."""
    flat = nnx.to_flat_state(nnx.state(abstract_model(config)))
    leaves = ((dotted(path), leaf) for path, leaf in flat)
    return tuple(
        _parameter(path, leaf, config) for path, leaf in leaves if not path.endswith(".scale")
    )


@functools.lru_cache(maxsize=32)
def expected_tensors(config: ModelConfig) -> Mapping[str, ExpectedTensor]:
    """Returns every tensor a checkpoint of `config` consists of, by its name on the Hub."""
    tensors = (tensor for parameter in parameters(config) for tensor in parameter.tensors)
    return MappingProxyType({tensor.name: tensor for tensor in tensors})


def join(parts: Sequence[Any], joint: Joint, shape: tuple[int, ...]) -> Any:
    """Returns the array of a shape that the parts make, of NumPy or of JAX as they are."""
    before, after = shape[: joint.axis], shape[joint.axis + 1 :]
    numpy = np if isinstance(parts[0], np.ndarray) else jnp
    return numpy.concatenate([part.reshape(*before, -1, *after) for part in parts], joint.axis)


def join_all(config: ModelConfig, arrays: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns the parameters, by dotted path, that the tensors of a checkpoint make."""
    made = {}
    for parameter in parameters(config):
        parts = [arrays[tensor.path] for tensor in parameter.tensors]
        joint = parameter.joint
        made[parameter.path] = join(parts, joint, parameter.shape) if joint else parts[0]
    return made


def split_all(config: ModelConfig, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tensors, by dotted path, that make the parameters: the inverse of `join_all`."""
    found = {}
    for parameter in parameters(config):
        axis = parameter.joint.axis if parameter.joint else 0
        ends = np.cumsum(_sizes(parameter.shape[axis], len(parameter.tensors)))[:-1]
        parts = np.split(arrays[parameter.path], ends, axis)
        for tensor, part in zip(parameter.tensors, parts, strict=True):
            found[tensor.path] = part.reshape(tensor.shape)
    return found


def _parameter(path: str, leaf: Any, config: ModelConfig) -> Parameter:
    shape = tuple(leaf.shape)
    rows = find_rows(path, family_of(config).tensors)
    joint = rows[0].joint
    number = re.search(r"\.(\d+)\.", path.replace(".last.", f".{config.text.layers - 1}."))
    inside = path.removesuffix(_tail(rows[0].parameter))
    tensors = []
    for row, own in zip(rows, _part_shapes(shape, joint, len(rows)), strict=True):
        name = row.name.replace("*", number[1] if number else "")
        stored = row.stored_shape(config) if row.stored_shape else own
        assert math.prod(stored) == math.prod(own)
        tensors.append(ExpectedTensor(inside + _tail(row.path), name, own, stored, row))
    cut = joint.cut if joint else rows[0].cut
    if path.startswith("vision."):
        cut = _evenest_axis(shape)
    return Parameter(path, shape, cut, tuple(tensors), leaf.dtype == jnp.int8)


def _evenest_axis(shape: tuple[int, ...]) -> int:
    """The axis that most devices can share: the tower lies in parts, and is whole while at work."""
    return max(range(len(shape)), key=lambda axis: math.gcd(shape[axis], 16))


def _tail(path: str) -> str:
    return path.rpartition("*")[2]


def _part_shapes(shape: tuple[int, ...], joint: Joint | None, parts: int) -> list[tuple[int, ...]]:
    """The shapes [out, in] or [out] of the tensors that make a parameter [..., in] or [...]."""
    if joint is None:
        return [shape]
    inputs = shape[-1:] if joint.path.endswith("weight") else ()
    out = math.prod(shape) // math.prod(inputs) // shape[joint.axis]
    return [(out * size, *inputs) for size in _sizes(shape[joint.axis], parts)]


def _sizes(whole: int, parts: int) -> list[int]:
    return [whole - parts + 1] + [1] * (parts - 1)


def dotted(path: tuple) -> str:
    """Returns ("decoder", "body", 0, ...) as "decoder.body.0..."."""
    return ".".join(map(str, path))


def embedding_name(config: ModelConfig) -> str:
    """Returns the embedding's name on the Hub."""
    return find_rows("decoder.embedding", family_of(config).tensors)[0].name


def is_ignored(name: str) -> bool:
    """Whether a file's tensor is a buffer that is no weight."""
    return _IGNORED.search(name) is not None


def canonical_name(name: str, config: ModelConfig) -> str | None:
    """Returns a file's tensor name in the Hub's naming, or None for a buffer to ignore.

    Saves of several releases, and of models without their head, differ in what names begin with:
    `model.`, `language_model.`, both or none. What belongs nowhere keeps its name.
    """
    if is_ignored(name):
        return None
    return _hub_names(config).get(_core(name), name)


@functools.lru_cache(maxsize=32)
def _hub_names(config: ModelConfig) -> Mapping[str, str]:
    return {_core(name): name for name in (*expected_tensors(config), HEAD)}


def _core(name: str) -> str:
    return name.removeprefix("model.").removeprefix("language_model.")
