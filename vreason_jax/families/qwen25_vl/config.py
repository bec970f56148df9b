"""Qwen2.5-VL's config.json, in the old flat and the new nested form."""

import dataclasses
from typing import Any

import numpy as np

from vreason_jax.families.text import is_tied, read_text_config
from vreason_jax.families.values import Lookup, dtype_of, flat_or_nested, table
from vreason_jax.families.vision import check_fit, read_geometry, require
from vreason_jax.model.config import ModelConfig, VisionConfig

NAME = "qwen2_5_vl"
# What the library's classes assume, which transformers 4.49 leaves out when it saves. Those that
# fit no published model come with tensors of other shapes, which loading names.
VISION_DEFAULTS = {
    "depth": 32,
    "hidden_size": 3584,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "window_size": 112,
    "in_channels": 3,
    "tokens_per_second": 4,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
WIDEST_WINDOW = 2**15  # pixels; each window is padded to its whole size
MOST_TOKENS_PER_SECOND = 1e4  # of long videos the positions still are int32


@dataclasses.dataclass(frozen=True)
class WindowedVision(VisionConfig):
    """A vision tower whose patches mostly attend within a window."""

    window_pixels: int
    full_attention_blocks: tuple[int, ...]

    @property
    def window_units(self) -> int:
        """Merged tokens per side of an attention window."""
        return self.window_pixels // self.geometry.token_pixels

    @property
    def row_units(self) -> int:
        """Merged tokens of a row: those of a window."""
        return self.window_units**2

    def whole_frame(self, block: int) -> bool:
        """Returns whether patches attend to their whole frame in a block, or within a window."""
        return block in self.full_attention_blocks

    def windows(self, units: np.ndarray) -> list[np.ndarray]:
        """Returns the windows of a frame of units [h, w]: those at the edges are smaller."""
        side = self.window_units
        return [
            units[top : top + side, left : left + side].reshape(-1)
            for top in range(0, units.shape[0], side)
            for left in range(0, units.shape[1], side)
        ]


def read(values: dict[str, Any]) -> ModelConfig:
    """Returns the ModelConfig of a parsed config.json."""
    nested = table(values, "text_config")
    given = {k: v for k, v in table(values, "vision_config").items() if v is not None}
    vision = Lookup({**VISION_DEFAULTS, **given}, "vision_config.")
    config = ModelConfig(
        family=NAME,
        vision=_vision_config(vision),
        text=read_text_config(flat_or_nested(values), tied=is_tied(values, nested)),
        tokens_per_second=vision.number("tokens_per_second", largest=MOST_TOKENS_PER_SECOND),
        dtype=dtype_of(values, nested),
    )
    check_fit(config.text, config.vision)
    return config


def _vision_config(vision: Lookup) -> WindowedVision:
    act = vision.get("hidden_act", "silu")
    require(act == "silu", "vision hidden_act 'silu'", act)
    config = WindowedVision(
        depth=vision.count("depth"),
        width=vision.count("hidden_size"),
        mlp_width=vision.count("intermediate_size"),
        heads=vision.count("num_heads"),
        out_width=vision.count("out_hidden_size"),
        geometry=read_geometry(vision),
        window_pixels=vision.count("window_size"),
        full_attention_blocks=tuple(map(int, vision.need("fullatt_block_indexes"))),
    )
    _check_windows(config)
    return config


def _check_windows(vision: WindowedVision) -> None:
    pixels, unit = vision.window_pixels, vision.geometry.token_pixels
    require(pixels % unit == 0, f"a window_size of n x {unit}", pixels)
    require(pixels <= WIDEST_WINDOW, f"a window_size up to {WIDEST_WINDOW}", pixels)
