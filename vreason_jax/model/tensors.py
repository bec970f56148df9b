"""What the rows of a family's table of tensors say: one for each kind of tensor in a checkpoint."""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterable, Mapping

from vreason_jax.model.config import ModelConfig


class Unit(enum.Enum):
    """What an axis that devices share consists of; each device has whole ones."""

    QUERY_HEADS = enum.auto()
    KV_HEADS = enum.auto()
    NEURONS = enum.auto()  # of the MLP
    WORDS = enum.auto()  # of the vocabulary


@dataclasses.dataclass(frozen=True)
class Joint:
    """A parameter that several tensors make, one after the other, so that one product reads them.

    Each is reshaped to the parameter's shape, of whose `axis` the first takes what the others
    leave, and they take one.
    """

    path: str  # of the parameter, as Row.path
    axis: int
    cut: int | None  # the parameter's axis that is cut over `model`


@dataclasses.dataclass(frozen=True)
class Row:
    """A kind of tensor. `*` stands for the number of a layer or block in its path and name."""

    path: str  # dotted; layers of body and last count as decoder.layers.*
    name: str  # on the Hub
    # Of the axis that is cut over `model`. None: whole on each device; a tower's, cut anywhere.
    unit: Unit | None = None
    axis: int = 0
    # Shape in Hugging Face files, of a config, where it is another.
    stored_shape: Callable[[ModelConfig], tuple[int, ...]] | None = None
    joint: Joint | None = None  # what the model has in its place

    @property
    def cut(self) -> int | None:
        """The axis that is cut over `model`."""
        return None if self.unit is None else self.axis

    @property
    def parameter(self) -> str:
        """The path of the parameter that it is, or is a part of."""
        return self.joint.path if self.joint else self.path


def linear_rows(path: str, name: str, unit: Unit | None = None) -> tuple[Row, Row]:
    """Returns the rows of a Linear's weight and bias."""
    return Row(f"{path}.weight", f"{name}.weight", unit), Row(f"{path}.bias", f"{name}.bias", unit)


def joined_rows(
    path: str,
    units: Mapping[str, tuple[str, Unit | None]],
    kind: str,
    *,
    axis: int,
    cut: int | None,
) -> tuple[Row, ...]:
    """Returns the rows of a Linear's weight or bias (`kind`) that several tensors make.

    `path` is the Linear's in the model; `units` has, by the last word of each part's path, its name
    on the Hub and its unit.
    """
    joint = Joint(f"{path}.{kind}", axis, cut)
    inside = path.rpartition(".")[0]
    return tuple(
        Row(f"{inside}.{part}.{kind}", f"{name}.{kind}", unit, joint=joint)
        for part, (name, unit) in units.items()
    )


def find_rows(path: str, table: Iterable[Row]) -> list[Row]:
    """Returns the rows of what makes the parameter at a dotted path of the model.

    Raises ValueError where there are none, or several that no joint joins.
    """
    kind = re.sub(
        r"\.\d+\.", ".*.", re.sub(r"^decoder\.(body\.\d+|last)\.", "decoder.layers.*.", path)
    )
    rows = [row for row in table if row.parameter == kind]
    if not rows or len({row.path for row in rows}) < len(rows):
        raise ValueError(f"{path}: expected one row of the table of tensors, {len(rows)} match")
    return rows
