"""What the rows of a family's table of tensors say: one for each kind of parameter."""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterable

from vreason_jax.model.config import ModelConfig


class Unit(enum.Enum):
    """What an axis that devices share consists of; each device has whole ones."""

    QUERY_HEADS = enum.auto()
    KV_HEADS = enum.auto()
    NEURONS = enum.auto()  # of the MLP
    WORDS = enum.auto()  # of the vocabulary


@dataclasses.dataclass(frozen=True)
class Row:
    """A kind of parameter. `*` stands for the number of a layer or block in its path and name."""

    path: str  # dotted, in the model; layers of body and last count as decoder.layers.*
    name: str  # on the Hub
    unit: Unit | None = None  # of the axis that is cut over `model`; None: whole on each device
    axis: int = 0
    # Shape in Hugging Face files, of a config, where it is another.
    stored_shape: Callable[[ModelConfig], tuple[int, ...]] | None = None


def linear_rows(path: str, name: str, unit: Unit | None = None) -> tuple[Row, Row]:
    """Returns the rows of a Linear's weight and bias."""
    return Row(f"{path}.weight", f"{name}.weight", unit), Row(f"{path}.bias", f"{name}.bias", unit)


def find_row(path: str, layers: int, table: Iterable[Row]) -> tuple[Row, str]:
    """Returns the row of a parameter's dotted path, and the parameter's name on the Hub.

    `layers` is the decoder's depth. Raises ValueError where not exactly one row matches.
    """
    uniform = path.replace("decoder.last.", f"decoder.layers.{layers - 1}.")
    uniform = uniform.replace("decoder.body.", "decoder.layers.")
    kind, number = re.sub(r"\.\d+\.", ".*.", uniform), re.search(r"\.(\d+)\.", uniform)
    rows = [row for row in table if row.path == kind]
    if len(rows) != 1:
        raise ValueError(f"{path}: expected one row of the table of tensors, {len(rows)} match")
    return rows[0], rows[0].name.replace("*", number[1] if number else "")
