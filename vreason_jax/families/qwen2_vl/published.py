"""The shapes of the published Qwen2-VL models, as their config.json files say."""

from typing import Any

from vreason_jax.families.qwen2_vl.config import NAME

_TEXT_KEYS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size", "tie_word_embeddings",
)  # fmt: skip
# Source: config.json of Qwen/Qwen2-VL-{2B,7B,72B}-Instruct.
_PUBLISHED = {
    "2b": (1536, 8960, 28, 12, 2, 151_936, True),
    "7b": (3584, 18_944, 28, 28, 4, 152_064, False),
    "72b": (8192, 29_568, 80, 64, 8, 152_064, False),
}


def hf_values(size: str) -> dict[str, Any]:
    """Returns config.json values of a published size: 2b, 7b or 72b."""
    values = dict(zip(_TEXT_KEYS, _PUBLISHED[size], strict=True))
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": NAME,
        **values,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "max_position_embeddings": 32_768,
        "torch_dtype": "bfloat16",
        "image_token_id": 151_655,
        "video_token_id": 151_656,
        "vision_start_token_id": 151_652,
        "vision_end_token_id": 151_653,
        "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": values["hidden_size"],
                          "in_chans": 3, "mlp_ratio": 4, "num_heads": 16, "patch_size": 14,
                          "spatial_merge_size": 2, "temporal_patch_size": 2},
    }  # fmt: skip


MODELS = {f"qwen2vl-{size}": hf_values(size) for size in _PUBLISHED}
