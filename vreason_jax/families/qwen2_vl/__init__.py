"""Qwen2-VL, dense, in 2B, 7B and 72B."""

from vreason_jax.families.family import Family
from vreason_jax.families.qwen2_vl import config, published, tensors, tower

FAMILY = Family(
    name=config.NAME,
    read=config.read,
    tower=tower.Tower,
    tensors=tensors.TENSORS,
    published=published.MODELS,
)
