"""The facts of one Qwen2.5-VL model, read from its config.json (old flat and new nested form)."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError

MODEL_TYPES = ("qwen2_5_vl",)
DTYPES = ("float32", "bfloat16", "float16")

# What the library's classes assume, which transformers 4.49 leaves out when it saves. Those that
# fit no published model come with tensors of other shapes, which loading names.
VISION_DEFAULTS = {
    "depth": 32,
    "hidden_size": 3584,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "window_size": 112,
    "in_channels": 3,
    "tokens_per_second": 4,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
MAX_POSITIONS = 32768


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


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """One checkpoint's architecture."""

    vision: VisionConfig
    text: TextConfig
    tokens_per_second: float
    dtype: str  # of the checkpoint, one of DTYPES


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
    vision = _Lookup(_vision_values(_table(values, "vision_config")), "vision_config.")
    try:
        config = ModelConfig(
            vision=_vision_config(vision),
            text=_text_config(text, tied=_tied(values, nested)),
            tokens_per_second=float(vision.need("tokens_per_second")),
            dtype=_dtype(values, nested),
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


def _dtype(root: dict[str, Any], nested: dict[str, Any]) -> str:
    """The dtype of the weights: transformers 5 calls it dtype, those before torch_dtype."""
    places = [(table, key) for table in (root, nested) for key in ("dtype", "torch_dtype")]
    value = next((table[key] for table, key in places if table.get(key)), "bfloat16")
    name = value.removeprefix("torch.") if isinstance(value, str) else value
    if name not in DTYPES:
        raise UserError(f"expected a dtype of {', '.join(DTYPES)}, got {value!r:.60}")
    return name


def _vision_values(values: dict[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in values.items() if value is not None}
    return {**VISION_DEFAULTS, **given}


def _check_attention(text: _Lookup, layers: int, max_positions: int) -> None:
    """Raises UserError where a layer looks back less far than the model's positions reach.

    Defaults are those of the library's class; a window of null means none.
    """
    window, kinds = text.get("sliding_window", 4096), text.get("layer_types")
    if not isinstance(kinds, list):
        slides = text.get("use_sliding_window") and window is not None
        first = text.get("max_window_layers", 80) if slides else layers
        kinds = ["full_attention" if i < first else "sliding_attention" for i in range(layers)]
    for kind in kinds:
        wide = kind == "sliding_attention" and isinstance(window, int) and window >= max_positions
        if kind != "full_attention" and not wide:
            raise UserError(
                "expected full attention in every layer (use_sliding_window false), got "
                f"{kind!r:.60} with sliding_window {window!r:.60}"
            )


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
    layers = text.count("num_hidden_layers")
    max_positions = text.count("max_position_embeddings", default=MAX_POSITIONS)
    _check_attention(text, layers, max_positions)
    return TextConfig(
        layers=layers,
        width=width,
        mlp_width=text.count("intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        vocabulary=text.count("vocab_size"),
        norm_eps=float(text.need("rms_norm_eps")),
        rope_theta=float(rope.get("rope_theta") or text.get("rope_theta") or 1e6),
        mrope_section=section,
        max_positions=max_positions,
        tied=tied,
    )


def _vision_config(vision: _Lookup) -> VisionConfig:
    if vision.get("hidden_act", "silu") != "silu":
        raise UserError(f"expected vision hidden_act 'silu', got {vision.get('hidden_act')!r}")
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
