"""The shapes of the published dense Qwen3-VL models, as their config.json files say."""

from typing import Any

from vreason_jax.families.qwen3_vl.config import NAME

_TEXT_KEYS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
)  # fmt: skip
_VISION_KEYS = ("depth", "hidden_size", "intermediate_size", "deepstack_visual_indexes")
_SMALL_TOWER = (24, 1024, 4096, [5, 11, 17])
_LARGE_TOWER = (27, 1152, 4304, [8, 16, 24])
# Source: config.json of Qwen/Qwen3-VL-{2B,4B,8B,32B}-Instruct; Thinking has the same shapes.
_PUBLISHED = {
    "2b": ((2048, 6144, 28, 16), _SMALL_TOWER, True),
    "4b": ((2560, 9728, 36, 32), _SMALL_TOWER, True),
    "8b": ((4096, 12_288, 36, 32), _LARGE_TOWER, False),
    "32b": ((5120, 25_600, 64, 64), _LARGE_TOWER, False),
}


def hf_values(size: str) -> dict[str, Any]:
    """Returns config.json values of a published size: 2b, 4b, 8b or 32b."""
    text, vision, tied = _PUBLISHED[size]
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": NAME,
        "image_token_id": 151_655,
        "video_token_id": 151_656,
        "vision_start_token_id": 151_652,
        "vision_end_token_id": 151_653,
        "tie_word_embeddings": tied,
        "text_config": {
            **dict(zip(_TEXT_KEYS, text, strict=True)),
            "model_type": "qwen3_vl_text",
            "attention_bias": False,
            "dtype": "bfloat16",
            "head_dim": 128,
            "hidden_act": "silu",
            "max_position_embeddings": 262_144,
            "num_key_value_heads": 8,
            "rms_norm_eps": 1e-6,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20],
                             "rope_type": "default"},
            "rope_theta": 5_000_000,
            "tie_word_embeddings": tied,
            "vocab_size": 151_936,
        },
        "vision_config": {
            **dict(zip(_VISION_KEYS, vision, strict=True)),
            "model_type": NAME,
            "hidden_act": "gelu_pytorch_tanh",
            "in_channels": 3,
            "num_heads": 16,
            "num_position_embeddings": 2304,
            "out_hidden_size": text[0],
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }  # fmt: skip


MODELS = {f"qwen3vl-{size}": hf_values(size) for size in _PUBLISHED}
