"""The facts of one Qwen2.5-VL model, read from its config.json (old flat and new nested form)."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError

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
    tied: bool  # the head is the embedding


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One checkpoint's architecture."""

    vision: VisionConfig
    text: TextConfig
    tokens_per_second: float
    image_token_id: int
    video_token_id: int
    vision_start_token_id: int
    vision_end_token_id: int
    dtype: str  # of the checkpoint, as config.json states it


def read_model_config(folder: Path) -> ModelConfig:
    """Returns the ModelConfig of a checkpoint folder; raises UserError for what it cannot run."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError:
        raise UserError(
            f"{folder}: expected a checkpoint folder with a config.json, found none"
        ) from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
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
        raise UserError(f"expected model_type 'qwen2_5_vl', got {came!r}")
    if values.get("quantization_config"):
        raise UserError("expected unquantised weights, got a quantization_config")
    nested = _table(values, "text_config")
    text = _Lookup({**values, **{k: v for k, v in nested.items() if v is not None}}, "")
    vision = _Lookup(_table(values, "vision_config"), "vision_config.")
    if text.get("use_sliding_window", False):
        raise UserError("expected use_sliding_window false, got true")
    try:
        config = ModelConfig(
            vision=_vision_config(vision),
            text=_text_config(text, tied=_tied(values, nested)),
            tokens_per_second=float(vision.need("tokens_per_second")),
            # Null ids stand in some nested configs: the root's are authoritative.
            image_token_id=int(values.get("image_token_id", 151655)),
            video_token_id=int(values.get("video_token_id", 151656)),
            vision_start_token_id=int(values.get("vision_start_token_id", 151652)),
            vision_end_token_id=int(values.get("vision_end_token_id", 151653)),
            dtype=values.get("dtype") or values.get("torch_dtype") or "bfloat16",
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"a value has the wrong type: {error}") from None
    _check_fit(config.text, config.vision)
    return config


class _Lookup:
    """Config values under one prefix; `need` names the missing key."""

    def __init__(self, values: dict[str, Any], prefix: str):
        self.values = values
        self.get = values.get
        self._prefix = prefix

    def need(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise UserError(f"expected the key {self._prefix}{key!s}, which is missing")
        return value

    def count(self, key: str, default: int | None = None) -> int:
        """Returns a positive whole number; without a default a missing key is an error."""
        value = self.need(key) if default is None else self.get(key) or default
        if int(value) != value or value < 1:
            raise UserError(f"expected {self._prefix}{key} to be 1, 2, ..., got {value!r}")
        return int(value)


def _check_fit(text: TextConfig, vision: VisionConfig) -> None:
    """Raises UserError for sizes that contradict each other, which no tensor's shape would show."""
    unit = vision.patch_pixels * vision.merge
    cut = vision.patch_pixels, vision.temporal_patch, vision.merge, vision.channels
    section = text.mrope_section
    for fits, expected, came in (
        (vision.out_width == text.width, f"out_hidden_size {text.width}", vision.out_width),
        (vision.width % (4 * vision.heads) == 0, "a vision width of 4 n heads", vision.width),
        (vision.window_pixels % unit == 0, f"a window_size of n x {unit}", vision.window_pixels),
        (len(section) == 3 and min(section) > 0, "an mrope_section of 3 sizes", section),
        # Frames are cut so, whatever the model (video/patches.py).
        (cut == (14, 2, 2, 3), "patches of 14 pixels, 2 frames, merged by 2, in 3 channels", cut),
    ):
        if not fits:
            raise UserError(f"expected {expected}, got {came}")


def _refuse(constant: str):
    raise ValueError(f"{constant} is no number")


def _table(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns the first of the named objects that is there, else an empty one."""
    for name in names:
        table = values.get(name)
        if table and not isinstance(table, dict):
            raise UserError(f"expected {name} to be an object, got {table!r}")
        if table:
            return table
    return {}


def _tied(root: dict[str, Any], nested: dict[str, Any]) -> bool:
    # 5.x saves of the 3B model say false in text_config and true at the root.
    return bool(root.get("tie_word_embeddings") or nested.get("tie_word_embeddings"))


def _text_config(text: _Lookup, *, tied: bool) -> TextConfig:
    heads, width = text.count("num_attention_heads"), text.count("hidden_size")
    head_width = text.count("head_dim", default=width // heads)
    rope = _table(text.values, "rope_parameters", "rope_scaling")
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ("default", "mrope"):
        raise UserError(f"expected rope type 'default' or 'mrope', got {kind!r}")
    section = tuple(int(n) for n in rope.get("mrope_section") or (16, 24, 24))
    if sum(section) * 2 != head_width:
        raise UserError(f"mrope_section {list(section)} does not sum to half of {head_width}")
    if text.get("hidden_act", "silu") != "silu":
        raise UserError(f"expected hidden_act 'silu', got {text.get('hidden_act')!r}")
    kv_heads = text.count("num_key_value_heads")
    if heads % kv_heads:
        raise UserError(f"{heads} query heads are no multiple of {kv_heads} key/value heads")
    return TextConfig(
        layers=text.count("num_hidden_layers"),
        width=width,
        mlp_width=text.count("intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        vocabulary=text.count("vocab_size"),
        norm_eps=float(text.need("rms_norm_eps")),
        rope_theta=float(rope.get("rope_theta") or text.get("rope_theta") or 1e6),
        mrope_section=section,
        tied=tied,
    )


def _vision_config(vision: _Lookup) -> VisionConfig:
    # Published files leave out what equals these defaults (the 32B one: depth and num_heads).
    # The sizes below `need` have class defaults that fit no published model, so none is assumed.
    if vision.get("hidden_act", "silu") != "silu":
        raise UserError(f"expected vision hidden_act 'silu', got {vision.get('hidden_act')!r}")
    return VisionConfig(
        depth=vision.count("depth", default=32),
        width=vision.count("hidden_size"),
        mlp_width=vision.count("intermediate_size"),
        heads=vision.count("num_heads", default=16),
        out_width=vision.count("out_hidden_size"),
        patch_pixels=vision.count("patch_size", default=14),
        temporal_patch=vision.count("temporal_patch_size", default=2),
        merge=vision.count("spatial_merge_size", default=2),
        window_pixels=vision.count("window_size", default=112),
        full_attention_blocks=tuple(map(int, vision.get("fullatt_block_indexes", (7, 15, 23, 31)))),
        channels=vision.count("in_channels", default=vision.count("in_chans", default=3)),
    )
