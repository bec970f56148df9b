"""The facts of a decoder, read from config.json: what the families' decoders have in common."""

from collections.abc import Callable, Sequence
from typing import Any

from vreason_jax.errors import UserError, shown
from vreason_jax.families.values import Lookup, check_attention, table
from vreason_jax.model.config import TextConfig

AXES = 3  # of positions: time, height, width
MAX_POSITIONS = 32768  # what the library's class assumes


def is_tied(root: dict[str, Any], nested: dict[str, Any]) -> bool:
    """Returns whether the head is the embedding."""
    # Where it is true, 4.52 to 4.57 say so in text_config alone, 5.x at the root alone.
    said = [part.get("tie_word_embeddings") for part in (root, nested)]
    for value in said:
        if value not in (None, False, True):
            raise UserError(f"expected tie_word_embeddings to be true or false, got {shown(value)}")
    return any(said)


def contiguous(section: Sequence[int]) -> tuple[int, ...]:
    """Returns the axis of each rope frequency where each axis has a run of them."""
    return tuple(axis for axis, count in enumerate(section) for _ in range(count))


def read_text_config(
    text: Lookup,
    *,
    tied: bool,
    axes: Callable[[Sequence[int]], tuple[int, ...]] = contiguous,
    **facts: Any,
) -> TextConfig:
    """Returns the decoder of a config's text values; raises UserError for what cannot be run.

    `axes` makes of an mrope_section the axis of each frequency; `facts` are other fields.
    """
    heads, width = text.count("num_attention_heads"), text.count("hidden_size")
    head_width = text.count("head_dim", default=width // heads)
    if text.get("hidden_act", "silu") != "silu":
        raise UserError(f"expected hidden_act 'silu', got {shown(text.get('hidden_act'))}")
    kv_heads = text.count("num_key_value_heads")
    if heads % kv_heads:
        raise UserError(f"{heads} query heads are no multiple of {kv_heads} key/value heads")
    rope = table(text.values, "rope_parameters", "rope_scaling")
    section = _section(rope, head_width)
    layers = text.count("num_hidden_layers")
    max_positions = text.count("max_position_embeddings", default=MAX_POSITIONS)
    check_attention(text, layers, max_positions)
    return TextConfig(
        layers=layers,
        width=width,
        mlp_width=text.count("intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        vocabulary=text.count("vocab_size"),
        norm_eps=text.number("rms_norm_eps"),
        rope_theta=Lookup({**text.values, **rope}, "").number("rope_theta", default=1e6),
        rope_axes=axes(section),
        max_positions=max_positions,
        tied=tied,
        **facts,
    )


def _section(rope: dict[str, Any], head_width: int) -> tuple[int, ...]:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ("default", "mrope"):
        raise UserError(f"expected rope type 'default' or 'mrope', got {shown(kind)}")
    if rope.get("partial_rotary_factor", 1) != 1:
        raise UserError(
            f"expected partial_rotary_factor 1, got {shown(rope['partial_rotary_factor'])}"
        )
    section = tuple(int(n) for n in rope.get("mrope_section") or (16, 24, 24))
    if sum(section) * 2 != head_width:
        raise UserError(
            f"mrope_section {shown(list(section))} does not sum to half of {head_width}"
        )
    if len(section) != AXES or min(section) < 1:
        raise UserError(f"expected an mrope_section of 3 sizes, got {shown(section)}")
    return section
