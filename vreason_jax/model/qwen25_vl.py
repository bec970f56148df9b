"""Qwen2.5-VL: vision tower and decoder, and the splice of the one's output into the other's prompt."""

import jax
import jax.numpy as jnp
from flax import nnx

from vreason_jax.model.config import ModelConfig
from vreason_jax.model.decoder import Decoder
from vreason_jax.model.vision import VisionTower


class Qwen25VL(nnx.Module):
    """The whole model. Parameters are zeros: checkpoints fill them (runtime/checkpoint.py)."""

    def __init__(self, config: ModelConfig, dtype: jnp.dtype):
        self.config = config
        self.vision = VisionTower(config.vision, dtype)
        self.decoder = Decoder(config.text, dtype)

    def embed_prompt(
        self, token_ids: jax.Array, media: list[jax.Array], media_slots: list[jax.Array]
    ) -> jax.Array:
        """Returns the prompt embeddings [B, S, D], with media in place of their pad tokens.

        Args:
          token_ids: [B, S] int32.
          media: per video or image its embeddings [M, D].
          media_slots: per video or image the flat indices b * S + s [M] int32 of its tokens.
        """
        x = self.decoder.embed(token_ids)
        flat = x.reshape(-1, x.shape[-1])
        for embeddings, slots in zip(media, media_slots, strict=True):
            flat = flat.at[slots].set(embeddings.astype(x.dtype))
        return flat.reshape(x.shape)


def abstract_model(config: ModelConfig, dtype: jnp.dtype) -> Qwen25VL:
    """Returns the model with shapes and dtypes for parameters: nothing is allocated."""
    return nnx.eval_shape(lambda: Qwen25VL(config, dtype))
