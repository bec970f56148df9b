"""The vision tower: patches of one video or image to embeddings in the decoder's width.

Temporal patches never attend to each other (Qwen2.5-VL report section 2.1.1), so they are a plain
batch axis, and a window is one row of a dense batched product with a key mask.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from vreason_jax.model import rope
from vreason_jax.model.config import VisionConfig
from vreason_jax.model.layers import MASKED, Linear, Norm, SwiGLU
from vreason_jax.model.windows import WindowPlan

_NORM_EPS = 1e-6  # fixed in HF's code, whatever config.json says for the decoder
# Temporal patches are processed in groups whose largest score matrix stays near this many numbers.
_SCORES_AT_ONCE = 2**24


class VisionBlock(nnx.Module):
    """Attention within windows or within the frame, then a gated MLP, both residual."""

    def __init__(self, config: VisionConfig, dtype: jnp.dtype):
        width = config.width
        self.heads = config.heads
        self.norm1 = Norm(width, eps=_NORM_EPS, dtype=dtype)
        self.qkv = Linear(3 * width, width, bias=True, dtype=dtype)
        self.proj = Linear(width, width, bias=True, dtype=dtype)
        self.norm2 = Norm(width, eps=_NORM_EPS, dtype=dtype)
        self.mlp = SwiGLU(width, config.mlp_width, bias=True, dtype=dtype)

    def __call__(self, x, cosines, sines, occupied) -> jax.Array:
        """Returns x [A, W, D] after the block; A attention groups of W patches.

        Args:
          x: [A, W, D].
          cosines, sines: [A, W, H] float32.
          occupied: [A, W] bool, false for padding, which no patch attends to.
        """
        x = x + self._attend(self.norm1(x), cosines, sines, occupied)
        return x + self.mlp(self.norm2(x))

    def _attend(self, x, cosines, sines, occupied):
        groups, length, width = x.shape
        fused = self.qkv(x).reshape(groups, length, 3, self.heads, width // self.heads)
        query, key, value = fused[:, :, 0], fused[:, :, 1], fused[:, :, 2]
        query = _rotate_wide(query, cosines, sines)
        key = _rotate_wide(key, cosines, sines)
        scores = jnp.einsum("awnh,aunh->anwu", query, key, preferred_element_type=jnp.float32)
        scores = jnp.where(occupied[:, None, None], scores * (width // self.heads) ** -0.5, MASKED)
        weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
        return self.proj(jnp.einsum("anwu,aunh->awnh", weights, value).reshape(x.shape))


class Merger(nnx.Module):
    """Joins the patches of a merged unit and projects them to the decoder's width."""

    def __init__(self, config: VisionConfig, dtype: jnp.dtype):
        joined = config.width * config.merge**2
        self.norm = Norm(config.width, eps=_NORM_EPS, dtype=dtype)
        self.fc1 = Linear(joined, joined, bias=True, dtype=dtype)
        self.fc2 = Linear(config.out_width, joined, bias=True, dtype=dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns [..., units, out_width] for x [..., units, patches per unit, width]."""
        joined = self.norm(x).reshape(*x.shape[:-2], -1)
        return self.fc2(jax.nn.gelu(self.fc1(joined), approximate=False))


class VisionTower(nnx.Module):
    """Patch embedding, window and full-frame blocks, merger."""

    def __init__(self, config: VisionConfig, dtype: jnp.dtype):
        self.config = config
        self.patch_embed = Linear(config.width, config.patch_values, bias=False, dtype=dtype)
        self.blocks = nnx.List([VisionBlock(config, dtype) for _ in range(config.depth)])
        self.merger = Merger(config, dtype)

    def __call__(self, patches: jax.Array, plan: WindowPlan) -> jax.Array:
        """Returns the embeddings [M, D] of one video or image, M = P / merge^2, in prompt order.

        Args:
          patches: [t, h * w, 1176] float32, normalised (video/patches.py).
          plan: the frame's windows; its arrays may be NumPy's or traced.
        """
        longest = plan.patch_of_slot.shape[0]
        group = max(1, _SCORES_AT_ONCE // (self.config.heads * longest**2))
        if patches.shape[0] <= group:
            merged = self._encode(patches, plan)
        else:
            merged = lax.map(lambda p: self._encode(p[None], plan)[0], patches, batch_size=group)
        return merged.reshape(-1, merged.shape[-1])

    def blocks_in_patch_order(self, patches: jax.Array, plan: WindowPlan) -> list[jax.Array]:
        """Returns each block's output [t, h * w, D] in the order of `patches`, to compare with."""
        slot_of_patch = jnp.argsort(jnp.where(plan.occupied.reshape(-1), plan.patch_of_slot, 2**30))
        slot_of_patch = slot_of_patch[: patches.shape[1]]
        return [x[:, slot_of_patch] for x in self._run_blocks(patches, plan)]

    def _encode(self, patches, plan):
        x = self._run_blocks(patches, plan)[-1]
        per_unit = self.config.merge**2
        units = x.reshape(x.shape[0], -1, per_unit, x.shape[-1])[:, plan.slot_of_unit]
        return self.merger(units)

    def _run_blocks(self, patches, plan):
        x = self.patch_embed(patches.astype(self.patch_embed.weight[...].dtype))
        x = x[:, plan.patch_of_slot]
        rotation = jnp.cos(plan.angles), jnp.sin(plan.angles)
        occupied = jnp.asarray(plan.occupied).reshape(-1)
        outputs = []
        for index, block in enumerate(self.blocks):
            full = index in self.config.full_attention_blocks
            windows = 1 if full else plan.occupied.shape[0]
            with jax.named_scope("vision_full" if full else "vision_window"):
                outputs.append(_run_block(block, x, windows, rotation, occupied))
            x = outputs[-1]
        return outputs


@jax.jit
def encode_media(model, patches: jax.Array, plan: WindowPlan) -> jax.Array:
    """Returns the embeddings [M, D] of one video or image by `model.vision`, compiled by shape."""
    return model.vision(patches, plan)


def _run_block(block, x, windows, rotation, occupied):
    """Runs a block over x [t, W, D], with each frame cut into `windows` attention groups."""
    frames, slots = x.shape[:2]

    def per_group(array):  # [W, ...] of one frame -> [t * windows, W / windows, ...]
        cut = array.reshape(windows, slots // windows, *array.shape[1:])
        return jnp.tile(cut, (frames, *[1] * (cut.ndim - 1)))

    groups = x.reshape(frames * windows, slots // windows, -1)
    return block(groups, *map(per_group, (*rotation, occupied))).reshape(x.shape)


def _rotate_wide(x, cosines, sines):
    # The tower rotates in float32 and casts back, unlike the decoder.
    # Source: HF modeling_qwen2_5_vl.py, apply_rotary_pos_emb_vision.
    wide = rope.rotate(x.astype(jnp.float32), cosines[:, :, None], sines[:, :, None])
    return wide.astype(x.dtype)
