"""Qwen2.5-VL of any size: config.json for a checkpoint to train."""

from typing import Any

from vreason_jax.families.qwen25_vl.config import NAME
from vreason_jax.families.sizes import ModelSizes, Surroundings


def hf_values(sizes: ModelSizes, around: Surroundings) -> dict[str, Any]:
    """Returns config.json values in the layout of the Hub's checkpoints."""
    return {
        "attention_dropout": 0.0,
        "vision_token_id": around.ids["<|vision_pad|>"],
        "hidden_act": "silu",
        "hidden_size": sizes.text_width,
        "initializer_range": 0.02,
        "intermediate_size": sizes.text_mlp_width,
        "max_position_embeddings": around.positions,
        "max_window_layers": sizes.text_layers,
        "model_type": NAME,
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": sizes.text_layers,
        "num_key_value_heads": sizes.kv_heads,
        "rms_norm_eps": 1e-6,
        "rope_theta": sizes.rope_theta,
        "sliding_window": around.positions,
        "torch_dtype": around.dtype,
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": _vision(sizes, around),
        "rope_scaling": {"type": "mrope", "mrope_section": list(sizes.mrope_section)},
        "vocab_size": around.vocabulary,
    }


def _vision(sizes: ModelSizes, around: Surroundings) -> dict[str, Any]:
    return {
        "depth": sizes.vision_depth,
        "hidden_act": "silu",
        "hidden_size": sizes.vision_width,
        "intermediate_size": sizes.vision_mlp_width,
        "num_heads": sizes.vision_heads,
        "in_chans": 3,
        "out_hidden_size": sizes.text_width,
        "patch_size": around.geometry.patch_pixels,
        "spatial_merge_size": around.geometry.merge,
        "window_size": around.window_pixels,
        "fullatt_block_indexes": [sizes.vision_depth - 1],
        "tokens_per_second": around.tokens_per_second,
        "temporal_patch_size": around.geometry.temporal_patch,
    }
