"""Rows of the families' tables of tensors, for the modules that they share."""

from vreason_jax.geometry import CHANNELS
from vreason_jax.model.config import ModelConfig
from vreason_jax.model.tensors import Row, Unit, linear_rows


def decoder_rows(prefix: str, *, qkv_bias: bool, qk_norm: bool) -> tuple[Row, ...]:
    """Returns the rows of the decoder, whose names on the Hub begin with `prefix`.

    Heads and MLP widths are cut, so a layer needs one sum over `model` after attention and one
    after the MLP.
    """
    layer, hub = "decoder.layers.*", f"{prefix}.layers.*"

    def attention(letter: str, unit: Unit) -> tuple[Row, ...]:
        path, name = f"{layer}.attention.{letter}", f"{hub}.self_attn.{letter}_proj"
        return linear_rows(path, name, unit)[: 1 + qkv_bias]

    def mlp(part: str, axis: int) -> Row:
        name = f"{hub}.mlp.{part}_proj.weight"
        return Row(f"{layer}.mlp.{part}.weight", name, Unit.NEURONS, axis)

    def norm(path: str, name: str) -> Row:
        return Row(f"{layer}.{path}.weight", f"{hub}.{name}.weight")

    norms = (norm(f"attention.{letter}_norm", f"self_attn.{letter}_norm") for letter in "qk")
    output = f"{hub}.self_attn.o_proj.weight"
    return (
        Row("decoder.embedding", f"{prefix}.embed_tokens.weight", Unit.WORDS),
        Row("decoder.head", "lm_head.weight", Unit.WORDS),
        Row("decoder.norm.weight", f"{prefix}.norm.weight"),
        norm("input_norm", "input_layernorm"),
        norm("post_norm", "post_attention_layernorm"),
        *attention("q", Unit.QUERY_HEADS),
        *attention("k", Unit.KV_HEADS),
        *attention("v", Unit.KV_HEADS),
        Row(f"{layer}.attention.o.weight", output, Unit.QUERY_HEADS, axis=1),
        *(norms if qk_norm else ()),
        mlp("gate", 0),
        mlp("up", 0),
        mlp("down", 1),
    )


def tower_rows(prefix: str, *, patch_bias: bool, layer_norm: bool) -> tuple[Row, ...]:
    """Returns the rows of a tower's patch embedding, and of its blocks' attention and norms.

    The tower is whole on each device: it is small beside the decoder.
    """
    block, hub = "vision.blocks.*", f"{prefix}.blocks.*"
    embed = f"{prefix}.patch_embed.proj"
    return (
        Row("vision.patch_embed.weight", f"{embed}.weight", stored_shape=_convolution),
        *([Row("vision.patch_embed.bias", f"{embed}.bias")] if patch_bias else []),
        *linear_rows(f"{block}.norm1", f"{hub}.norm1")[: 1 + layer_norm],
        *linear_rows(f"{block}.norm2", f"{hub}.norm2")[: 1 + layer_norm],
        *linear_rows(f"{block}.qkv", f"{hub}.attn.qkv"),
        *linear_rows(f"{block}.proj", f"{hub}.attn.proj"),
    )


def _convolution(config: ModelConfig) -> tuple[int, ...]:
    cut = config.geometry
    return config.vision.width, CHANNELS, cut.temporal_patch, cut.patch_pixels, cut.patch_pixels
