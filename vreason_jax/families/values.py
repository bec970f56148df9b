"""Values of a config.json: where each release of transformers puts them, and what it leaves out."""

from typing import Any

from vreason_jax.config import DTYPES
from vreason_jax.errors import UserError, shown

LARGEST_COUNT = 2**31 - 1  # what the devices index by
SMALLEST_NUMBER, LARGEST_NUMBER = 1e-37, 3.4e38  # of float32


class Lookup:
    """Config values under one prefix; `need` names the missing key."""

    def __init__(self, values: dict[str, Any], prefix: str):
        self.values = values
        self.get = values.get
        self._prefix = prefix

    def need(self, key: str) -> Any:
        """Returns the value of a key; raises UserError where it is missing or null."""
        value = self.get(key)
        if value is None:
            raise UserError(f"expected the key {self._prefix}{key!s}, which is missing")
        return value

    def count(self, key: str, default: int | None = None) -> int:
        """Returns a positive whole number; without a default a missing key is an error."""
        value = self.need(key) if default is None else self.get(key) or default
        # NaN and what is no number fail the first comparison.
        fits = type(value) in (int, float) and 1 <= value <= LARGEST_COUNT and value % 1 == 0
        if not fits:
            raise UserError(f"expected {self._prefix}{key} to be 1, 2, ..., got {shown(value)}")
        return int(value)

    def number(
        self, key: str, default: float | None = None, largest: float = LARGEST_NUMBER
    ) -> float:
        """Returns a number above 0 that float32 holds; without a default it must be there."""
        value = self.need(key) if default is None else self.get(key) or default
        if not (type(value) in (int, float) and SMALLEST_NUMBER <= value <= largest):
            raise UserError(
                f"expected {self._prefix}{key} to be a number above 0, got {shown(value)}"
            )
        return float(value)


def flat_or_nested(values: dict[str, Any]) -> Lookup:
    """Returns the decoder's values of a config: those of `text_config`, then those of the root.

    Hub files are flat, 4.52-4.57 saves have both, 5.x saves are nested.
    """
    nested = table(values, "text_config")
    return Lookup({**values, **{k: v for k, v in nested.items() if v is not None}}, "")


def table(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns the first of the named objects that is there, else an empty one."""
    for name in names:
        found = values.get(name)
        if found and not isinstance(found, dict):
            raise UserError(f"expected {name} to be an object, got {shown(found)}")
        if found:
            return found
    return {}


def dtype_of(root: dict[str, Any], nested: dict[str, Any]) -> str:
    """Returns the dtype of the weights: transformers 5 calls it dtype, those before torch_dtype."""
    places = [(part, key) for part in (root, nested) for key in ("dtype", "torch_dtype")]
    value = next((part[key] for part, key in places if part.get(key)), "bfloat16")
    name = value.removeprefix("torch.") if isinstance(value, str) else value
    if name not in DTYPES:
        raise UserError(f"expected a dtype of {', '.join(DTYPES)}, got {shown(value)}")
    return name


def check_attention(text: Lookup, layers: int, max_positions: int) -> None:
    """Raises UserError where a layer looks back less far than the model's positions reach.

    Defaults are those of the library's class; a window of null means none.
    """
    window, kinds = text.get("sliding_window", 4096), text.get("layer_types")
    if not isinstance(kinds, list):
        slides = text.get("use_sliding_window") and window is not None
        slides = slides and text.get("max_window_layers", 80) < layers
        kinds = ["sliding_attention" if slides else "full_attention"]
    for kind in kinds:
        wide = kind == "sliding_attention" and isinstance(window, int) and window >= max_positions
        if kind != "full_attention" and not wide:
            raise UserError(
                "expected full attention in every layer (use_sliding_window false), got "
                f"{shown(kind)} with sliding_window {shown(window)}"
            )
