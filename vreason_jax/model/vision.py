"""The vision tower: patches of videos and images to embeddings in the decoder's width.

Temporal patches never attend to each other, so they are a plain batch axis. Each is laid out as R
rows of W slots, a window each (model/windows.py): what its size is, is data, and frames of many
sizes share a program. What families differ in, norms and MLPs, they pass to `VisionTower`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx, struct
from jax import lax

from vreason_jax.arrays import Array
from vreason_jax.model import rope
from vreason_jax.model.attention import MASKED
from vreason_jax.model.config import VisionConfig
from vreason_jax.model.layers import Linear
from vreason_jax.model.windows import EMPTY

NORM_EPS = 1e-6  # fixed in HF's code, whatever config.json says for the decoder
MakeModule = Callable[[], nnx.Module]
# Attention over whole frames takes queries in groups whose score matrix stays near this many
# numbers.
_SCORES_AT_ONCE = 2**25


class Frames(struct.PyTreeNode):
    """F temporal patches, laid out in rows of windows."""

    pixels: Array  # [F, R, W, patch values] uint8, or float32 that is normalised already
    mean: Array  # [F, channels] float32, on the scale of the pixels
    deviation: Array  # [F, channels] float32
    window: Array  # [F, R, W] int32
    row: Array  # [F, R, W] int32
    column: Array  # [F, R, W] int32
    size: Array  # [F, 2] int32, height and width of the frame in patches
    slot_of_token: Array  # [N] int32: which merged unit, of all rows, each token comes from


class VisionBlock(nnx.Module):
    """Attention within windows or within the frame, then an MLP, both residual and pre-normed."""

    def __init__(self, config: VisionConfig, dtype: jnp.dtype, norm: MakeModule, mlp: MakeModule):
        width = config.width
        self.heads = config.heads
        self.norm1 = norm()
        self.qkv = Linear(3 * width, width, bias=True, dtype=dtype)
        self.proj = Linear(width, width, bias=True, dtype=dtype)
        self.norm2 = norm()
        self.mlp = mlp()

    def __call__(self, x, rotation, window, *, full: bool) -> jax.Array:
        """Returns x [F, R, W, D] after the block.

        Args:
          rotation: cosines and sines [F, R, W, H] float32.
          window: [F, R, W] int32, EMPTY for padding, which no patch attends to.
          full: whether patches attend to their whole frame, or to their window.
        """
        x = x + self._attend(self.norm1(x), rotation, window, full)
        return x + self.mlp(self.norm2(x))

    def _attend(self, x, rotation, window, full):
        fused = self.qkv(x).reshape(*x.shape[:3], 3, self.heads, -1)
        query, key, value = fused[..., 0, :, :], fused[..., 1, :, :], fused[..., 2, :, :]
        query, key = (_rotate_wide(part, *rotation) for part in (query, key))
        attend = self._over_frames if full else self._over_windows
        return self.proj(attend(query, key, value, window).reshape(x.shape))

    def _over_windows(self, query, key, value, window):
        frames = window.shape[0] * window.shape[1]
        query, key, value = (a.reshape(frames, *a.shape[2:]) for a in (query, key, value))
        window = window.reshape(frames, -1)
        return _attention(query, key, value, window[:, :, None] == window[:, None])

    def _over_frames(self, query, key, value, window):
        frames, rows, slots, heads, width = query.shape
        key, value = (a.reshape(frames, rows * slots, heads, width) for a in (key, value))
        seen = (window != EMPTY).reshape(frames, 1, -1)

        def attend(query):  # [F, W, N, H], a row of every frame
            return _attention(query, key, value, seen)

        scores = frames * heads * slots * rows * slots
        at_once = max(1, _SCORES_AT_ONCE // scores)
        if at_once >= rows:
            return attend(query.reshape(frames, rows * slots, heads, width))
        context = lax.map(attend, jnp.moveaxis(query, 1, 0), batch_size=at_once)
        return jnp.moveaxis(context, 0, 1)


class Merger(nnx.Module):
    """Joins the patches of a merged unit and projects them to the decoder's width."""

    def __init__(
        self, config: VisionConfig, dtype: jnp.dtype, norm: nnx.Module, *, join_first: bool = False
    ):
        """With `join_first` the norm is one of joined patches, else of each by itself."""
        joined = config.width * config.geometry.merge**2
        self.norm, self.join_first = norm, join_first
        self.fc1 = Linear(joined, joined, bias=True, dtype=dtype)
        self.fc2 = Linear(config.out_width, joined, bias=True, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns [..., units, out_width] for x [..., units, patches per unit, width]."""
        shape = (*x.shape[:-2], -1)
        joined = self.norm(x.reshape(shape)) if self.join_first else self.norm(x).reshape(shape)
        return self.fc2(jax.nn.gelu(self.fc1(joined), approximate=False))


class VisionTower(nnx.Module):
    """Patch embedding, blocks, merger."""

    def __init__(
        self,
        config: VisionConfig,
        dtype: jnp.dtype,
        *,
        norm: MakeModule,
        mlp: MakeModule,
        patch_bias: bool = False,
    ):
        """`norm` and `mlp` make the modules of the blocks; the merger's norm is one of them too."""
        self.config = config
        values = config.geometry.patch_values
        self.patch_embed = Linear(config.width, values, bias=patch_bias, dtype=dtype)
        blocks = (VisionBlock(config, dtype, norm, mlp) for _ in range(config.depth))
        self.blocks = nnx.List(blocks)
        self.merger = Merger(config, dtype, norm())

    def __call__(self, frames: Frames) -> jax.Array:
        """Returns the embeddings [N, E x D] of the tokens that `frames.slot_of_token` names.

        E is 1, or more in towers whose tokens have parts that the decoder adds behind its first
        layers (TextConfig.stacked).
        """
        return self.merger(self.units(self.run_blocks(frames)[-1]))[frames.slot_of_token]

    def units(self, x: jax.Array) -> jax.Array:
        """Returns x [F, R, W, D] as merged units [all of them, patches of a unit, D]."""
        return x.reshape(-1, self.config.geometry.merge**2, x.shape[-1])

    def embed(self, frames: Frames) -> jax.Array:
        """Returns the patches [F, R, W, D] as the first block takes them."""
        dtype = self.patch_embed.weight[...].dtype
        pixels = normalise(frames.pixels, frames.mean, frames.deviation)
        return self.patch_embed(pixels.astype(dtype))

    def run_blocks(self, frames: Frames) -> list[jax.Array]:
        """Returns each block's output [F, R, W, D]."""
        x = self.embed(frames)
        angles = rope.vision_angles(frames.row, frames.column, self.config.head_width)
        rotation, outputs = (jnp.cos(angles), jnp.sin(angles)), []
        for index, block in enumerate(self.blocks):
            full = self.config.whole_frame(index)
            with jax.named_scope("vision_full" if full else "vision_window"):
                outputs.append(block(x, rotation, frames.window, full=full))
            x = outputs[-1]
        return outputs


def normalise(pixels: jax.Array, mean: jax.Array, deviation: jax.Array) -> jax.Array:
    """Returns (pixels - mean) / deviation, float32, of patches [F, R, W, channels x others].

    `mean` and `deviation` [F, channels] are on the scale of the pixels: transformers folds the
    scaling by 1/255 into them, and other orders of the same arithmetic differ in the last bit.
    """
    values = pixels.astype(jnp.float32).reshape(*pixels.shape[:3], mean.shape[1], -1)
    mean, deviation = (
        jnp.broadcast_to(a[:, None, None, :, None], values.shape) for a in (mean, deviation)
    )
    return ((values - mean) / deviation).reshape(pixels.shape)


def _attention(query, key, value, mask):
    """[A, W, N, H] of queries [A, W, N, H] over keys [A, S, N, H]; mask [A, W or 1, S] bool."""
    scores = jnp.einsum("awnh,asnh->anws", query, key, preferred_element_type=jnp.float32)
    scores = jnp.where(mask[:, None], scores * query.shape[-1] ** -0.5, MASKED)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("anws,asnh->awnh", weights, value)


def _rotate_wide(x, cosines, sines):
    # The tower rotates in float32 and casts back, unlike the decoder.
    # Source: transformers, apply_rotary_pos_emb_vision.
    wide = rope.rotate(x.astype(jnp.float32), cosines[..., None, :], sines[..., None, :])
    return wide.astype(x.dtype)
