"""The tensors of a checkpoint: their paths in the model, their names and shapes in files.

Loading, conversion, export, sharding and training all use `expected_tensors`, so that they cannot
disagree.
"""

import functools
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from flax import nnx

from vreason_jax.families.model import abstract_model
from vreason_jax.families.registry import family_of
from vreason_jax.model.config import ModelConfig
from vreason_jax.model.tensors import Row, find_row

_IGNORED = re.compile(r"rotary_emb\.inv_freq$")  # buffers that old releases saved
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


class ExpectedTensor(NamedTuple):
    """One parameter: where it lies in the model and how the files hold it."""

    path: str  # dotted path in the model's state, "decoder.body.0.mlp.up.weight"
    name: str  # in the Hub's naming
    shape: tuple[int, ...]  # in the model
    stored_shape: tuple[int, ...]  # in Hugging Face files
    row: Row  # of the table


@functools.lru_cache(maxsize=32)
def expected_tensors(config: ModelConfig) -> Mapping[str, ExpectedTensor]:
    """Returns every tensor a checkpoint of `config` consists of, by its name on the Hub."""
    expected, table = {}, family_of(config).tensors
    for path, leaf in nnx.to_flat_state(nnx.state(abstract_model(config))):
        path, shape = dotted(path), tuple(leaf.shape)
        row, name = find_row(path, config.text.layers, table)
        stored = row.stored_shape(config) if row.stored_shape else shape
        assert math.prod(stored) == math.prod(shape)
        expected[name] = ExpectedTensor(path, name, shape, stored, row)
    return MappingProxyType(expected)


def dotted(path: tuple) -> str:
    """Returns ("decoder", "body", 0, ...) as "decoder.body.0..."."""
    return ".".join(map(str, path))


def canonical_name(name: str) -> str | None:
    """Returns a file's tensor name in the Hub's naming, or None for a buffer to ignore.

    The three schemes: the Hub's (`model.layers`, `visual`), transformers 5's own
    (`model.language_model.layers`, `model.visual`) and base-model saves (`language_model.layers`).
    """
    if _IGNORED.search(name):
        return None
    rest = name.removeprefix("model.")
    if rest.startswith(("visual.", "lm_head.")):
        return rest
    return "model." + rest.removeprefix("language_model.")
