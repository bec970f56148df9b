"""Qwen2-VL's config.json, in the old flat and the new nested form."""

from typing import Any

from vreason_jax.families.text import is_tied, read_text_config
from vreason_jax.families.values import Lookup, dtype_of, flat_or_nested, table
from vreason_jax.families.vision import check_fit, read_geometry, require
from vreason_jax.model.config import ModelConfig, VisionConfig

NAME = "qwen2_vl"
# What the library's class assumes, which its releases leave out when they save.
VISION_DEFAULTS = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 3584,
    "hidden_act": "quick_gelu",
    "mlp_ratio": 4,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "in_channels": 3,
}


def read(values: dict[str, Any]) -> ModelConfig:
    """Returns the ModelConfig of a parsed config.json."""
    nested = table(values, "text_config")
    given = {k: v for k, v in table(values, "vision_config").items() if v is not None}
    config = ModelConfig(
        family=NAME,
        vision=_vision_config(Lookup({**VISION_DEFAULTS, **given}, "vision_config.")),
        text=read_text_config(flat_or_nested(values), tied=is_tied(values, nested)),
        tokens_per_second=None,
        dtype=dtype_of(values, nested),
    )
    check_fit(config.text, config.vision)
    return config


def _vision_config(vision: Lookup) -> VisionConfig:
    act, width = vision.need("hidden_act"), vision.count("embed_dim")
    require(act == "quick_gelu", "vision hidden_act 'quick_gelu'", act)
    return VisionConfig(
        depth=vision.count("depth"),
        width=width,
        mlp_width=int(width * vision.number("mlp_ratio")),
        heads=vision.count("num_heads"),
        out_width=vision.count("hidden_size"),  # the decoder's
        geometry=read_geometry(vision),
    )
