"""The shapes of the published Qwen2.5-VL models, as their config.json files say."""

from collections.abc import Mapping
from typing import Any

from vreason_jax.families.qwen25_vl.config import NAME

_TEXT_KEYS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "vocab_size", "tie_word_embeddings",
)  # fmt: skip
# Source: config.json of Qwen/Qwen2.5-VL-{3B,7B,32B,72B}-Instruct. The last number is the vision
# MLP's width.
_PUBLISHED = {
    "3b": ((2048, 11_008, 36, 16, 2, 151_936, True), 3420),
    "7b": ((3584, 18_944, 28, 28, 4, 152_064, False), 3420),
    "32b": ((5120, 27_648, 64, 40, 8, 152_064, False), 3456),
    "72b": ((8192, 29_568, 80, 64, 8, 152_064, False), 3456),
}
SIZES = tuple(_PUBLISHED)


def hf_values(text: tuple[int | bool, ...], vision: Mapping[str, Any]) -> dict[str, Any]:
    """Returns config.json values of a model of the family.

    Args:
      text: width, MLP width, layers, heads, key/value heads, vocabulary, whether the head is tied.
      vision: depth, hidden_size, intermediate_size, num_heads, and what differs from the published.
    """
    values = dict(zip(_TEXT_KEYS, text, strict=True))
    width, words = values["hidden_size"], values["vocab_size"]
    half = width // values["num_attention_heads"] // 2
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": NAME,
        **values,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [half - 2 * (3 * half // 8)]
                         + [3 * half // 8] * 2},
        "max_position_embeddings": 128_000,
        "torch_dtype": "bfloat16",
        "image_token_id": words - 2,
        "video_token_id": words - 1,
        "vision_start_token_id": words - 4,
        "vision_end_token_id": words - 3,
        "vision_config": {"out_hidden_size": width, "tokens_per_second": 2,
                          "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2,
                          "temporal_patch_size": 2, "window_size": 112, **vision},
    }  # fmt: skip


def published_values(size: str) -> dict[str, Any]:
    """Returns config.json values of the published model of a size, one of SIZES."""
    text, mlp_width = _PUBLISHED[size]
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": mlp_width, "num_heads": 16,
              "fullatt_block_indexes": [7, 15, 23, 31]}  # fmt: skip
    return hf_values(text, vision)
