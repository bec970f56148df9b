"""What is wrong with a checkpoint's tensors, all of it, found before any data is read."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from vreason_jax.errors import UserError, shown
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime.names import ExpectedTensor

_LONGEST_NAME = 200  # characters
_FEW_LAYERS = 100  # which are built at once


class WrongTensors(UserError):
    """A checkpoint that does not fit its config: one line to read, and `listing` for all of it."""

    def __init__(self, folder: Path, problems: "Problems"):
        summary = f"{folder}: {problems.summary()}"
        super().__init__(f"{summary}; `python -m vreason_jax.convert` lists them all")
        self.listing = f"{summary}\n{problems.listing()}"


@dataclasses.dataclass(frozen=True)
class Problems:
    """Names of tensors, each with what is wrong where the name does not say it."""

    missing: list[str]
    surplus: list[str]
    misshapen: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus or self.misshapen)

    def summary(self) -> str:
        """Returns the counts, and the first tensor of each kind."""
        kinds = [
            f"{len(lines)} {kind}" + (f" (first: {_short(lines[0])})" if lines else "")
            for kind, lines in self._kinds()
        ]
        return "the tensors do not fit config.json: " + ", ".join(kinds)

    def listing(self) -> str:
        """Returns one line per wrong tensor."""
        return "\n".join(f"  {kind}: {line}" for kind, lines in self._kinds() for line in lines)

    def _kinds(self) -> list[tuple[str, list[str]]]:
        return [
            ("missing", self.missing),
            ("surplus", self.surplus),
            ("misshapen", self.misshapen),
        ]


def check_depth(folder: Path, config: ModelConfig, tensors: int) -> None:
    """Raises UserError for a config of more layers than the files have tensors.

    To list what is missing, the model's layers are built; there must not be a thousand million.
    """
    for key, layers in (
        ("num_hidden_layers", config.text.layers),
        ("vision_config.depth", config.vision.depth),
    ):
        if layers > max(tensors, _FEW_LAYERS):
            raise UserError(
                f"{folder}: expected as many layers as the weights have, got {key} {layers} in "
                f"config.json, with {tensors} tensors in the files"
            )


def _short(name: str) -> str:
    """A name as a summary shows it; damaged files may have very long ones."""
    return name if len(name) <= _LONGEST_NAME and name.isprintable() else shown(name)


def find_problems(
    expected: Iterable[tuple[str, tuple[int, ...]]],
    found: dict[str, tuple[int, ...]],
    repeated: Iterable[str] = (),
) -> Problems:
    """Returns how the names and shapes `found` differ from those `expected`.

    `repeated` are tensors that stand in the files twice, under two names of one meaning.
    """
    shapes = dict(expected)
    misshapen = [
        f"{name} (expected {list(shape)}, got {list(found[name])})"
        for name, shape in shapes.items()
        if name in found and tuple(found[name]) != shape
    ]
    return Problems(
        missing=[name for name in shapes if name not in found],
        surplus=[name for name in found if name not in shapes]
        + [f"{name} (a second time)" for name in repeated],
        misshapen=misshapen,
    )


def stored_shapes(expected: Mapping[str, ExpectedTensor]) -> list[tuple[str, tuple[int, ...]]]:
    """Returns names and shapes as Hugging Face files have them."""
    return [(tensor.name, tensor.stored_shape) for tensor in expected.values()]


def model_shapes(expected: Mapping[str, ExpectedTensor]) -> list[tuple[str, tuple[int, ...]]]:
    """Returns paths and shapes as the model has them."""
    return [(tensor.path, tensor.shape) for tensor in expected.values()]
