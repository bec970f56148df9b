"""Qwen3-VL's vision tower: layer norms, a resampled table of positions, DeepStack."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from vreason_jax.families.qwen3_vl.config import StackedVision
from vreason_jax.model.layers import MLP, LayerNorm
from vreason_jax.model.vision import NORM_EPS, Frames, Merger, VisionTower


class Tower(VisionTower):
    """The vision tower of Qwen3-VL. Patches of a frame attend to each other in every block."""

    config: StackedVision

    def __init__(self, config: StackedVision, dtype: jnp.dtype):
        norm = functools.partial(LayerNorm, eps=NORM_EPS, dtype=dtype)
        super().__init__(
            config,
            dtype,
            norm=functools.partial(norm, config.width),
            mlp=functools.partial(MLP, config.width, config.mlp_width, jax.nn.gelu, dtype=dtype),
            patch_bias=True,
        )
        self.positions = nnx.Param(jnp.zeros((config.position_side**2, config.width), dtype))
        joined = config.width * config.geometry.merge**2
        mergers = (
            Merger(config, dtype, norm(joined), join_first=True) for _ in config.stacked_blocks
        )
        self.stacked = nnx.List(mergers)

    def __call__(self, frames: Frames) -> jax.Array:
        """Returns the embeddings [N, E x D]: the merger's, and behind it those of DeepStack."""
        outputs, config = self.run_blocks(frames), self.config
        parts = [self.merger(self.units(outputs[-1]))]
        for merger, block in zip(self.stacked, config.stacked_blocks, strict=True):
            parts.append(merger(self.units(outputs[block])))
        return jnp.concatenate(parts, axis=-1)[frames.slot_of_token]

    def embed(self, frames: Frames) -> jax.Array:
        """Returns the patches [F, R, W, D] with their positions."""
        x, side = super().embed(frames), self.config.position_side
        rows, columns = (
            _taps(place, frames.size[:, axis, None, None], side)
            for axis, place in enumerate((frames.row, frames.column))
        )
        table, total = self.positions[...], jnp.zeros(x.shape, jnp.float32)
        for row, row_share in rows:
            for column, column_share in columns:
                share = (row_share * column_share)[..., None]
                total += share * table[row * side + column].astype(jnp.float32)
        return x + total.astype(x.dtype)


def _taps(place: jax.Array, length: jax.Array, side: int) -> list[tuple[jax.Array, jax.Array]]:
    """Two positions of the table's side and their shares, [F, R, W] each, for places of a frame.

    The table is stretched over the frame, of `length` patches [F, 1, 1], its ends on the first and
    the last one.
    """
    source = jnp.asarray(place).astype(jnp.float32) * (side - 1)
    source = source / jnp.maximum(length - 1, 1).astype(jnp.float32)
    low = jnp.clip(jnp.floor(source).astype(jnp.int32), 0, side - 1)
    share = source - low.astype(jnp.float32)
    return [(low, 1 - share), (jnp.minimum(low + 1, side - 1), share)]
