"""Qwen3-VL's config.json: that of the Hub (4.57) and that of transformers 5."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from vreason_jax.families.text import is_tied, read_text_config
from vreason_jax.families.values import Lookup, dtype_of, table
from vreason_jax.families.vision import check_fit, read_geometry, require
from vreason_jax.model.config import ModelConfig, TextConfig, VisionConfig

NAME = "qwen3_vl"
# The library's classes describe no published model: what a file leaves out is not guessed.
_NEEDED = ("head_dim", "hidden_act", "max_position_embeddings")


@dataclasses.dataclass(frozen=True)
class StackedVision(VisionConfig):
    """A vision tower with a table of positions, and with DeepStack."""

    position_side: int  # the table is one of a square of so many positions along each side
    stacked_blocks: tuple[int, ...]  # whose outputs the decoder's first layers are given


def read(values: dict[str, Any]) -> ModelConfig:
    """Returns the ModelConfig of a parsed config.json; every key must be there."""
    nested = table(values, "text_config")
    text = Lookup(nested, "text_config.")
    vision = _vision_config(Lookup(table(values, "vision_config"), "vision_config."))
    config = ModelConfig(
        family=NAME,
        vision=vision,
        text=_text_config(text, is_tied(values, nested), len(vision.stacked_blocks)),
        tokens_per_second=None,  # a temporal patch is a medium of its own
        dtype=dtype_of(values, nested),
    )
    check_fit(config.text, vision)
    require(
        len(vision.stacked_blocks) < config.text.layers,
        "more layers than deepstack_visual_indexes",
        config.text.layers,
    )
    return config


def interleaved(section: Sequence[int]) -> tuple[int, ...]:
    """Returns the axis of each rope frequency: t, h, w in turn while h and w last, then t."""
    _, height, width = section
    axes = [0] * sum(section)
    axes[1 : 3 * height : 3] = [1] * len(axes[1 : 3 * height : 3])
    axes[2 : 3 * width : 3] = [2] * len(axes[2 : 3 * width : 3])
    return tuple(axes)


def _text_config(text: Lookup, tied: bool, stacked: int) -> TextConfig:
    for key in _NEEDED:
        text.need(key)
    require(not text.get("attention_bias"), "attention_bias false", text.get("attention_bias"))
    rope = table(text.values, "rope_parameters", "rope_scaling")
    Lookup({**text.values, **rope}, "text_config.").need("rope_theta")
    found = Lookup(rope, "text_config.rope_scaling.")
    found.need("mrope_section")
    require(
        found.need("mrope_interleaved") is True, "mrope_interleaved true", rope["mrope_interleaved"]
    )
    return read_text_config(
        text, tied=tied, axes=interleaved, qkv_bias=False, qk_norm=True, stacked=stacked
    )


def _vision_config(vision: Lookup) -> StackedVision:
    act, positions = vision.need("hidden_act"), vision.count("num_position_embeddings")
    require(act == "gelu_pytorch_tanh", "vision hidden_act 'gelu_pytorch_tanh'", act)
    depth = vision.count("depth")
    blocks = tuple(int(n) for n in vision.need("deepstack_visual_indexes"))
    fits = all(0 <= n < depth for n in blocks) and len(set(blocks)) == len(blocks)
    require(fits, f"deepstack_visual_indexes of {depth} blocks", list(blocks))
    return StackedVision(
        depth=depth,
        width=vision.count("hidden_size"),
        mlp_width=vision.count("intermediate_size"),
        heads=vision.count("num_heads"),
        out_width=vision.count("out_hidden_size"),
        geometry=read_geometry(vision),
        position_side=math.isqrt(positions),
        stacked_blocks=blocks,
    )
