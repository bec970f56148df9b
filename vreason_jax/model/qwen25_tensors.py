"""The table of Qwen2.5-VL's tensors: names on the Hub, and what devices share.

Heads and MLP widths are cut, so a layer needs one sum over `model` after attention and one after
the MLP. The vision tower is whole on each device: its widths (3420) have no useful divisors, and
it is small beside the decoder.
"""

from vreason_jax.model.config import ModelConfig
from vreason_jax.model.tensors import Row, Unit, linear_rows

_LAYER, _HUB_LAYER = "decoder.layers.*", "model.layers.*"
_BLOCK, _HUB_BLOCK = "vision.blocks.*", "visual.blocks.*"


def _convolution(config: ModelConfig) -> tuple[int, ...]:
    vision = config.vision
    side = vision.patch_pixels
    return vision.width, vision.channels, vision.temporal_patch, side, side


def _attention(letter: str, unit: Unit) -> tuple[Row, Row]:
    name = f"{_HUB_LAYER}.self_attn.{letter}_proj"
    return linear_rows(f"{_LAYER}.attention.{letter}", name, unit)


def _mlp(part: str, axis: int) -> Row:
    name = f"{_HUB_LAYER}.mlp.{part}_proj.weight"
    return Row(f"{_LAYER}.mlp.{part}.weight", name, Unit.NEURONS, axis)


# fmt: off
TENSORS = (
    Row("decoder.embedding", "model.embed_tokens.weight", Unit.WORDS),
    Row("decoder.head", "lm_head.weight", Unit.WORDS),
    Row("decoder.norm.weight", "model.norm.weight"),
    Row(f"{_LAYER}.input_norm.weight", f"{_HUB_LAYER}.input_layernorm.weight"),
    Row(f"{_LAYER}.post_norm.weight", f"{_HUB_LAYER}.post_attention_layernorm.weight"),
    *_attention("q", Unit.QUERY_HEADS), *_attention("k", Unit.KV_HEADS),
    *_attention("v", Unit.KV_HEADS),
    Row(f"{_LAYER}.attention.o.weight", f"{_HUB_LAYER}.self_attn.o_proj.weight",
        Unit.QUERY_HEADS, axis=1),
    _mlp("gate", 0), _mlp("up", 0), _mlp("down", 1),
    Row("vision.patch_embed.weight", "visual.patch_embed.proj.weight", stored_shape=_convolution),
    Row(f"{_BLOCK}.norm1.weight", f"{_HUB_BLOCK}.norm1.weight"),
    Row(f"{_BLOCK}.norm2.weight", f"{_HUB_BLOCK}.norm2.weight"),
    *linear_rows(f"{_BLOCK}.qkv", f"{_HUB_BLOCK}.attn.qkv"),
    *linear_rows(f"{_BLOCK}.proj", f"{_HUB_BLOCK}.attn.proj"),
    *linear_rows(f"{_BLOCK}.mlp.gate", f"{_HUB_BLOCK}.mlp.gate_proj"),
    *linear_rows(f"{_BLOCK}.mlp.up", f"{_HUB_BLOCK}.mlp.up_proj"),
    *linear_rows(f"{_BLOCK}.mlp.down", f"{_HUB_BLOCK}.mlp.down_proj"),
    Row("vision.merger.norm.weight", "visual.merger.ln_q.weight"),
    *linear_rows("vision.merger.fc1", "visual.merger.mlp.0"),
    *linear_rows("vision.merger.fc2", "visual.merger.mlp.2"),
)
