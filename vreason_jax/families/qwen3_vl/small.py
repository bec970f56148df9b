"""Qwen3-VL of any size: config.json for a checkpoint to train."""

from typing import Any

from vreason_jax.families.qwen3_vl.config import NAME
from vreason_jax.families.sizes import ModelSizes, Surroundings

POSITION_SIDE = 8  # of the tower's table: as many patches as a small frame has along its length


def hf_values(sizes: ModelSizes, around: Surroundings) -> dict[str, Any]:
    """Returns config.json values in the layout of the Hub's checkpoints."""
    return {
        "model_type": NAME,
        "text_config": {
            "model_type": f"{NAME}_text",
            "attention_bias": False,
            "dtype": around.dtype,
            "head_dim": sizes.text_width // sizes.heads,
            "hidden_act": "silu",
            "hidden_size": sizes.text_width,
            "intermediate_size": sizes.text_mlp_width,
            "max_position_embeddings": around.positions,
            "num_attention_heads": sizes.heads,
            "num_hidden_layers": sizes.text_layers,
            "num_key_value_heads": sizes.kv_heads,
            "rms_norm_eps": 1e-6,
            "rope_scaling": {
                "mrope_interleaved": True,
                "mrope_section": list(sizes.mrope_section),
                "rope_type": "default",
            },
            "rope_theta": sizes.rope_theta,
            "tie_word_embeddings": sizes.tied,
            "vocab_size": around.vocabulary,
        },
        "vision_config": _vision(sizes, around),
    }


def _vision(sizes: ModelSizes, around: Surroundings) -> dict[str, Any]:
    return {
        "model_type": NAME,
        "deepstack_visual_indexes": list(range(sizes.vision_depth - 1)),
        "depth": sizes.vision_depth,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": sizes.vision_width,
        "in_channels": 3,
        "intermediate_size": sizes.vision_mlp_width,
        "num_heads": sizes.vision_heads,
        "num_position_embeddings": POSITION_SIDE**2,
        "out_hidden_size": sizes.text_width,
        "patch_size": around.geometry.patch_pixels,
        "spatial_merge_size": around.geometry.merge,
        "temporal_patch_size": around.geometry.temporal_patch,
    }
