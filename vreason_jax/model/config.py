"""The facts of one model, whatever its family; families/ reads them from config.json files."""

import dataclasses

import numpy as np

from vreason_jax.geometry import Geometry

ROW_UNITS = 16  # tokens; a row of 64 patches is as long as a window of the towers that have some


@dataclasses.dataclass(frozen=True)
class VisionConfig:
    """A vision tower whose patches attend to their whole frame."""

    depth: int
    width: int
    mlp_width: int
    heads: int
    out_width: int
    geometry: Geometry

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def row_units(self) -> int:
        """Merged tokens of a row, in which frames are laid out (model/windows.py)."""
        return ROW_UNITS

    def whole_frame(self, block: int) -> bool:
        """Returns whether patches attend to their whole frame in a block, or within a window."""
        del block
        return True

    def windows(self, units: np.ndarray) -> list[np.ndarray]:
        """Returns the units [h, w] of a frame in parts of at most `row_units` that stay together.

        Without windows these are what fills a row.
        """
        return np.split(units.reshape(-1), range(self.row_units, units.size, self.row_units))


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """The decoder."""

    layers: int
    width: int
    mlp_width: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int  # rows of the embedding, more than the tokenizer has
    norm_eps: float
    rope_theta: float
    rope_axes: tuple[int, ...]  # of each frequency: 0, 1, 2 for t, h, w; head_width / 2 of them
    max_positions: int  # the model was made for prompts and answers of so many tokens
    tied: bool  # the head is the embedding
    int8: bool = False  # products of the body have int8 weights (runtime/int8.py)
    qkv_bias: bool = True
    qk_norm: bool = False  # queries and keys are normed before rope, head by head
    # Parts of a medium's token that are added behind the first layers, one a layer.
    stacked: int = 0
    kv_repeats: int = 1  # how often each key/value head lies in the cache (runtime/sharing.py)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One checkpoint's architecture."""

    family: str  # its name in families/registry.py
    vision: VisionConfig
    text: TextConfig
    tokens_per_second: float | None  # of the time axis; None: a step for each temporal patch
    dtype: str  # of the checkpoint, one of vreason_jax.config.DTYPES

    @property
    def geometry(self) -> Geometry:
        """How frames are cut."""
        return self.vision.geometry
