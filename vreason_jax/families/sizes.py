"""The sizes of a small model to train, and what its config.json needs beside them."""

import dataclasses
from collections.abc import Mapping

from vreason_jax.errors import UserError
from vreason_jax.geometry import Geometry
from vreason_jax.settings import in_range


@dataclasses.dataclass(frozen=True)
class ModelSizes:
    """Sizes of the model for config.json; depths count layers."""

    family: str  # model_type of config.json
    text_layers: int = 4
    text_width: int = 128
    text_mlp_width: int = 384
    heads: int = 4
    kv_heads: int = 2
    rope_theta: float = 300.0
    mrope_section: tuple[int, ...] = (3, 3, 10)
    tied: bool = False
    vision_depth: int = 2
    vision_width: int = 64
    vision_mlp_width: int = 128
    vision_heads: int = 4

    def __post_init__(self):
        for name in ("text_layers", "text_width", "text_mlp_width", "heads", "kv_heads"):
            in_range(f"model.{name}", getattr(self, name), 1)
        for name in ("vision_depth", "vision_width", "vision_mlp_width", "vision_heads"):
            in_range(f"model.{name}", getattr(self, name), 1)
        in_range("model.rope_theta", self.rope_theta, 0.0, open_low=True)
        if sum(self.mrope_section) * 2 * self.heads != self.text_width:
            raise UserError(
                f"model.mrope_section: expected a sum of {self.text_width // self.heads // 2}, "
                f"half the head width, got {list(self.mrope_section)}"
            )


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What a small model is to fit: its tokenizer, its clips, and the dtype of its weights."""

    ids: Mapping[str, int]  # of the added tokens, by their text
    vocabulary: int
    positions: int  # the most that a prompt and its answer may have
    geometry: Geometry
    window_pixels: int
    tokens_per_second: int
    dtype: str
