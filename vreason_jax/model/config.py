"""The facts of one Qwen2.5-VL model, read from its config.json (old flat and new nested form)."""

import dataclasses
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.json_files import parse_json
from vreason_jax.model.config_values import (
    MAX_POSITIONS,
    MOST_TOKENS_PER_SECOND,
    WIDEST_WINDOW,
    Lookup,
    check_attention,
    dtype_of,
    table,
    vision_values,
)
from vreason_jax.regular_files import read_text

MODEL_TYPES = ("qwen2_5_vl",)


@dataclasses.dataclass(frozen=True)
class VisionConfig:
    """The vision tower. Lengths in pixels where the name says so, else counts."""

    depth: int
    width: int
    mlp_width: int
    heads: int
    out_width: int
    patch_pixels: int = 14
    temporal_patch: int = 2  # frames per patch
    merge: int = 2  # patches per side of a merged token
    window_pixels: int = 112
    full_attention_blocks: tuple[int, ...] = (7, 15, 23, 31)
    channels: int = 3

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def patch_values(self) -> int:
        """Numbers in one flattened patch: channels x frames x pixels x pixels."""
        return self.channels * self.temporal_patch * self.patch_pixels**2

    @property
    def window_units(self) -> int:
        """Merged tokens per side of an attention window."""
        return self.window_pixels // self.patch_pixels // self.merge


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """The decoder."""

    layers: int
    width: int
    mlp_width: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int  # rows of the embedding, more than the tokenizer has
    norm_eps: float
    rope_theta: float
    mrope_section: tuple[int, ...]  # frequencies of the t, h and w axes; sums to head_width / 2
    max_positions: int  # the model was made for prompts and answers of so many tokens
    tied: bool  # the head is the embedding
    kv_repeats: int = 1  # how often each key/value head lies in the cache (runtime/sharing.py)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One checkpoint's architecture."""

    vision: VisionConfig
    text: TextConfig
    tokens_per_second: float
    dtype: str  # of the checkpoint, one of vreason_jax.config.DTYPES


def read_model_config(folder: Path) -> ModelConfig:
    """Returns the ModelConfig of a checkpoint folder; raises UserError for what it cannot run."""
    path = folder / "config.json"
    try:
        values = parse_json(read_text(path))
    except FileNotFoundError:
        raise UserError(
            f"{folder}: expected a checkpoint folder with a config.json, found none"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {one_line(error.strerror or error)}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {one_line(error)}") from None
    try:
        return model_config_from_hf(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def model_config_from_hf(values: dict[str, Any]) -> ModelConfig:
    """Returns the ModelConfig of a parsed config.json.

    A key is looked up in `text_config`, then at the root, as Hub files (flat), 4.52-4.57 saves
    (both) and 5.x saves (nested) place it. Raises UserError for another architecture, a missing
    key, or a feature that no published Qwen2.5-VL uses.
    """
    if not isinstance(values, dict) or values.get("model_type") not in MODEL_TYPES:
        came = values.get("model_type") if isinstance(values, dict) else values
        raise UserError(f"expected model_type 'qwen2_5_vl', got {shown(came)}")
    if values.get("quantization_config"):
        raise UserError("expected unquantised weights, got a quantization_config")
    nested = table(values, "text_config")
    text = Lookup({**values, **{k: v for k, v in nested.items() if v is not None}}, "")
    vision = Lookup(vision_values(table(values, "vision_config")), "vision_config.")
    try:
        config = ModelConfig(
            vision=_vision_config(vision),
            text=_text_config(text, tied=_tied(values, nested)),
            tokens_per_second=vision.number("tokens_per_second", largest=MOST_TOKENS_PER_SECOND),
            dtype=dtype_of(values, nested),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"a value has the wrong type: {one_line(error)}") from None
    _check_fit(config.text, config.vision)
    return config


def _check_fit(text: TextConfig, vision: VisionConfig) -> None:
    """Raises UserError for sizes that contradict each other, which no tensor's shape would show."""
    unit = vision.patch_pixels * vision.merge
    cut = vision.patch_pixels, vision.temporal_patch, vision.merge, vision.channels
    section = text.mrope_section
    for fits, expected, came in (
        (vision.out_width == text.width, f"out_hidden_size {text.width}", vision.out_width),
        (vision.width % (4 * vision.heads) == 0, "a vision width of 4 n heads", vision.width),
        (vision.window_pixels % unit == 0, f"a window_size of n x {unit}", vision.window_pixels),
        (
            vision.window_pixels <= WIDEST_WINDOW,
            f"a window_size up to {WIDEST_WINDOW}",
            vision.window_pixels,
        ),
        (len(section) == 3 and min(section) > 0, "an mrope_section of 3 sizes", section),
        # Frames are cut so, whatever the model (video/patches.py).
        (cut == (14, 2, 2, 3), "patches of 14 pixels, 2 frames, merged by 2, in 3 channels", cut),
    ):
        if not fits:
            raise UserError(f"expected {expected}, got {shown(came)}")


def _tied(root: dict[str, Any], nested: dict[str, Any]) -> bool:
    # Where it is true, 4.52 to 4.57 say so in text_config alone, 5.x at the root alone.
    return bool(root.get("tie_word_embeddings") or nested.get("tie_word_embeddings"))


def _text_config(text: Lookup, *, tied: bool) -> TextConfig:
    heads, width = text.count("num_attention_heads"), text.count("hidden_size")
    head_width = text.count("head_dim", default=width // heads)
    rope = table(text.values, "rope_parameters", "rope_scaling")
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
    if text.get("hidden_act", "silu") != "silu":
        raise UserError(f"expected hidden_act 'silu', got {shown(text.get('hidden_act'))}")
    kv_heads = text.count("num_key_value_heads")
    if heads % kv_heads:
        raise UserError(f"{heads} query heads are no multiple of {kv_heads} key/value heads")
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
        mrope_section=section,
        max_positions=max_positions,
        tied=tied,
    )


def _vision_config(vision: Lookup) -> VisionConfig:
    if vision.get("hidden_act", "silu") != "silu":
        raise UserError(f"expected vision hidden_act 'silu', got {shown(vision.get('hidden_act'))}")
    return VisionConfig(
        depth=vision.count("depth"),
        width=vision.count("hidden_size"),
        mlp_width=vision.count("intermediate_size"),
        heads=vision.count("num_heads"),
        out_width=vision.count("out_hidden_size"),
        patch_pixels=vision.count("patch_size"),
        temporal_patch=vision.count("temporal_patch_size"),
        merge=vision.count("spatial_merge_size"),
        window_pixels=vision.count("window_size"),
        full_attention_blocks=tuple(map(int, vision.need("fullatt_block_indexes"))),
        channels=vision.count("in_channels"),
    )
