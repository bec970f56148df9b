"""Rows of the families' tables of tensors, for the modules that they share."""

from vreason_jax.geometry import CHANNELS
from vreason_jax.model.config import ModelConfig
from vreason_jax.model.tensors import Row, Unit, joined_rows, linear_rows


def decoder_rows(prefix: str, *, qkv_bias: bool, qk_norm: bool) -> tuple[Row, ...]:
    """Returns the rows of the decoder, whose names on the Hub begin with `prefix`.

    Heads and MLP widths are cut, so a layer needs one sum over `model` after attention and one
    after the MLP.
    """
    layer, hub = "decoder.layers.*", f"{prefix}.layers.*"

    def qkv(kind: str) -> tuple[Row, ...]:
        # By key/value head, as devices share them: its queries, its key, its value.
        units = {"q": Unit.QUERY_HEADS, "k": Unit.KV_HEADS, "v": Unit.KV_HEADS}
        parts = {letter: (f"{hub}.self_attn.{letter}_proj", units[letter]) for letter in "qkv"}
        return joined_rows(f"{layer}.attention.qkv", parts, kind, axis=1, cut=0)

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
        *qkv("weight"),
        *(qkv("bias") if qkv_bias else ()),
        Row(f"{layer}.attention.o.weight", output, Unit.QUERY_HEADS, axis=1),
        *(norms if qk_norm else ()),
        *gate_up_rows(f"{layer}.mlp", f"{hub}.mlp", "weight", Unit.NEURONS),
        Row(f"{layer}.mlp.down.weight", f"{hub}.mlp.down_proj.weight", Unit.NEURONS, axis=1),
    )


def gate_up_rows(path: str, name: str, kind: str, unit: Unit | None = None) -> tuple[Row, ...]:
    """Returns the rows of a gated MLP's first product, its weight or its bias."""
    parts = {part: (f"{name}.{part}_proj", unit) for part in ("gate", "up")}
    return joined_rows(f"{path}.gate_up", parts, kind, axis=0, cut=1 if unit else None)


def tower_rows(prefix: str, *, patch_bias: bool, layer_norm: bool) -> tuple[Row, ...]:
    """Returns the rows of a tower's patch embedding, and of its blocks' attention and norms.

    Devices share the tower's frames, and each takes the whole tower for that (engine/media.py).
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
