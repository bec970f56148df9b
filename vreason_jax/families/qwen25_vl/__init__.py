"""Qwen2.5-VL, in 3B, 7B, 32B and 72B."""

from vreason_jax.families.family import Family
from vreason_jax.families.qwen25_vl import config, published, small, tensors, tower

FAMILY = Family(
    name=config.NAME,
    read=config.read,
    tower=tower.Tower,
    tensors=tensors.TENSORS,
    classes={
        "model": "Qwen2_5_VLForConditionalGeneration",
        "processor": "Qwen2_5_VLProcessor",
        "image_processor": "Qwen2VLImageProcessor",
        "video_processor": "Qwen2VLVideoProcessor",
        "tokenizer": "Qwen2Tokenizer",
    },
    small=small.hf_values,
    published={name: published.published_values(name) for name in published.SIZES},
)
