"""Random Qwen2.5-VL checkpoints in HF layout: small enough for tests, shaped to hide no mistake.

Norm weights are not 1 and biases not 0; the text epsilon (1e-3) is unlike the vision epsilon
(1e-6); rope sections are unequal; the head has more rows than the tokenizer has ids; query heads
come in groups of 3. Queries, keys and the last layer's output are scaled up so that attention is
peaked and the values of video tokens move the logits: with unit scales a value delta moves the
entropy by less than the tolerance of a test.
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax import tiny_tokenizer

LAYOUTS = ("flat", "nested", "mixed")
NAMINGS = ("hub", "new", "base")

TEXT_SIZES = {
    "hidden_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 152,
    "vocab_size": 320,
    "rms_norm_eps": 1e-3,
    "max_position_embeddings": 32768,
}
ROPE = {"rope_theta": 1000.0, "mrope_section": [1, 3, 4]}
VISION_SIZES = {
    "depth": 4,
    "hidden_size": 48,
    "num_heads": 4,
    "intermediate_size": 76,
    "out_hidden_size": 96,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [1, 3],
    "tokens_per_second": 2,
}

# Standard deviation of a weight times sqrt(fan in); the first ending that fits counts.
_GAINS = (
    ("q_proj.weight", 1.6),
    ("k_proj.weight", 1.6),
    ("lm_head.weight", 3.6),  # entropies from 0.1 to 3.5 nats
    ("embed_tokens.weight", 2.2),  # not more: every layer is to matter beside it
    (".weight", 1.0),
)
_LAST_LAYER_GAINS = (("v_proj.weight", 1.5), ("o_proj.weight", 2.0))
_BIAS_SCALE = 0.2
_SHARD_NAME = "model-{:05d}-of-{:05d}.safetensors"


def write_tiny_checkpoint(
    folder: str | Path,
    *,
    seed: int = 0,
    layout: str = "flat",
    naming: str = "hub",
    tied: bool = False,
    shards: int = 1,
    dtype: str = "float32",
    text: dict[str, Any] | None = None,
    vision: dict[str, Any] | None = None,
) -> Path:
    """Writes a tiny random checkpoint folder in HF layout and returns its path.

    One seed gives the same weights under every layout, naming, tie, number of shards and dtype
    (rounded). `layout` is the form of config.json: "flat" (the Hub's), "nested" (transformers 5)
    or "mixed" (4.52 to 4.57). `naming` is that of the tensors: "hub", "new" (transformers 5) or
    "base" (the model without its head: tied only). `text` and `vision` override sizes by key.
    """
    if naming == "base" and not tied:
        raise ValueError("naming='base' stores no head, so it needs tied=True")
    config = tiny_config(layout=layout, tied=tied, dtype=dtype, text=text, vision=vision)
    return write_checkpoint(folder, config, seed=seed, dtype=dtype, naming=naming, shards=shards)


def write_checkpoint(
    folder: str | Path,
    config: dict[str, Any],
    *,
    seed: int = 0,
    dtype: str = "float32",
    naming: str = "hub",
    shards: int = 1,
) -> Path:
    """Writes random weights for `config` (config.json as a dict, any layout) and returns the path.

    The folder also gets the tiny tokenizer, whose ids `tiny_config` puts into its configs. No
    more than one shard's tensors are in memory at a time.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", _generation_config())
    _write_json(folder / "preprocessor_config.json", _preprocessor_config())
    tiny_tokenizer.write_tokenizer(folder)
    shapes = tensor_shapes(config)
    groups = _split_by_size(shapes, shards)
    last_layer = f"model.layers.{_text_section(config)['num_hidden_layers'] - 1}."
    weight_map = {}
    for number, names in enumerate(groups, start=1):
        file = _SHARD_NAME.format(number, shards) if shards > 1 else "model.safetensors"
        tensors = {
            _rename(name, naming): random_tensor(name, shapes[name], seed, dtype, last_layer)
            for name in names
        }
        _save(tensors, folder / file)
        weight_map.update(dict.fromkeys(tensors, file))
    if shards > 1:
        _write_index(folder, weight_map, shapes, dtype)
    return folder


def tiny_config(
    *,
    layout: str = "flat",
    tied: bool = False,
    dtype: str = "float32",
    text: dict[str, Any] | None = None,
    vision: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns config.json as a dict in one of LAYOUTS; `text` and `vision` override sizes by key.

    `text` also takes `rope_theta` and `mrope_section` (which must sum to half the head width).
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected one of {LAYOUTS}, got {layout!r}")
    sizes = {**TEXT_SIZES, **ROPE, **(text or {})}
    rope = {key: sizes.pop(key) for key in ROPE}
    sizes.update(hidden_act="silu", attention_dropout=0.0, initializer_range=0.02, use_cache=True)
    sizes.update(use_sliding_window=False, sliding_window=32768)
    sizes.update(max_window_layers=sizes["num_hidden_layers"])
    towers = {"hidden_act": "silu", **VISION_SIZES, **(vision or {})}
    build = {"flat": _flat_config, "nested": _nested_config, "mixed": _mixed_config}[layout]
    config = build(sizes, rope, towers, tied, dtype)
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        **_token_ids(),
        "tie_word_embeddings": tied,
        **config,
    }


def tensor_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every tensor by its Hub name; a tied config has no `lm_head.weight`."""
    shapes = dict(_text_shapes(_text_section(config)))
    shapes.update(_vision_shapes(config["vision_config"]))
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"]
    return shapes


def random_tensor(
    name: str, shape: tuple[int, ...], seed: int, dtype: str = "float32", last_layer: str = ""
) -> np.ndarray:
    """Returns the tensor that `seed` gives the Hub name `name`, whatever else is drawn.

    `last_layer` is the name's beginning in the last decoder layer, whose values weigh more.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if len(shape) == 1 and name.endswith(".weight"):
        values = rng.uniform(0.5, 1.5, shape)  # a norm's
    elif name.endswith(".bias"):
        values = rng.normal(0.0, _BIAS_SCALE, shape)
    else:
        gain = _gain(name, bool(last_layer) and name.startswith(last_layer))
        values = rng.standard_normal(shape, dtype=np.float32)
        values *= gain / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32).astype(_numpy_dtype(dtype))


def _gain(name: str, in_last_layer: bool) -> float:
    gains = (_LAST_LAYER_GAINS if in_last_layer else ()) + _GAINS
    return next(gain for ending, gain in gains if name.endswith(ending))


def _text_shapes(text: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, mlp = text["hidden_size"], text["intermediate_size"]
    keys = width // text["num_attention_heads"] * text["num_key_value_heads"]
    yield "model.embed_tokens.weight", (text["vocab_size"], width)
    for layer in range(text["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for projection, rows in (("q", width), ("k", keys), ("v", keys)):
            yield f"{prefix}.self_attn.{projection}_proj.weight", (rows, width)
            yield f"{prefix}.self_attn.{projection}_proj.bias", (rows,)
        yield f"{prefix}.self_attn.o_proj.weight", (width, width)
        yield f"{prefix}.mlp.gate_proj.weight", (mlp, width)
        yield f"{prefix}.mlp.up_proj.weight", (mlp, width)
        yield f"{prefix}.mlp.down_proj.weight", (width, mlp)
        yield f"{prefix}.input_layernorm.weight", (width,)
        yield f"{prefix}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)


def _vision_shapes(vision: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, mlp, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    kernel = (3, vision["temporal_patch_size"], patch, patch)
    yield "visual.patch_embed.proj.weight", (width, *kernel)
    for block in range(vision["depth"]):
        prefix = f"visual.blocks.{block}"
        yield f"{prefix}.norm1.weight", (width,)
        yield f"{prefix}.norm2.weight", (width,)
        yield from _linear(f"{prefix}.attn.qkv", 3 * width, width)
        yield from _linear(f"{prefix}.attn.proj", width, width)
        yield from _linear(f"{prefix}.mlp.gate_proj", mlp, width)
        yield from _linear(f"{prefix}.mlp.up_proj", mlp, width)
        yield from _linear(f"{prefix}.mlp.down_proj", width, mlp)
    merged = width * vision["spatial_merge_size"] ** 2
    yield "visual.merger.ln_q.weight", (width,)
    yield from _linear("visual.merger.mlp.0", merged, merged)
    yield from _linear("visual.merger.mlp.2", vision["out_hidden_size"], merged)


def _linear(name: str, rows: int, columns: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (rows, columns)
    yield f"{name}.bias", (rows,)


def _text_section(config: dict[str, Any]) -> dict[str, Any]:
    return config.get("text_config") or config


def _flat_config(sizes, rope, vision, tied, dtype) -> dict[str, Any]:
    return {
        **sizes,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
        "torch_dtype": dtype,
        "vision_config": {**vision, "in_chans": 3, "spatial_patch_size": vision["patch_size"]},
    }


def _nested_config(sizes, rope, vision, tied, dtype) -> dict[str, Any]:
    # transformers 5 leaves the text section at its default: only the root says whether it is tied.
    ids = _token_ids()
    text = {
        **sizes,
        **{key: ids[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        "sliding_window": None,
        "model_type": "qwen2_5_vl_text",
        "dtype": dtype,
        "layer_types": ["full_attention"] * sizes["num_hidden_layers"],
        "rope_parameters": {"rope_type": "default", **rope},
        "tie_word_embeddings": False,
    }
    tower = {
        **vision,
        "in_channels": 3,
        "model_type": "qwen2_5_vl_vision",
        "rope_parameters": {"rope_type": "axial", "rope_theta": 10000.0},
    }
    return {"dtype": dtype, "text_config": text, "vision_config": tower}


def _mixed_config(sizes, rope, vision, tied, dtype) -> dict[str, Any]:
    scaling = {"type": "default", "rope_type": "default", "mrope_section": rope["mrope_section"]}
    copies = {**sizes, "rope_theta": rope["rope_theta"], "rope_scaling": scaling}
    ids = {**_token_ids(), "vision_token_id": None}
    text = {**copies, **ids, "model_type": "qwen2_5_vl_text", "tie_word_embeddings": tied}
    text["layer_types"] = ["full_attention"] * sizes["num_hidden_layers"]
    tower = {**vision, "in_chans": 3, "in_channels": 3, "model_type": "qwen2_5_vl"}
    return {**copies, "torch_dtype": dtype, "text_config": text, "vision_config": tower}


def _token_ids() -> dict[str, int]:
    ids = tiny_tokenizer.added_token_ids()
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
    }


def _generation_config() -> dict[str, Any]:
    ids = tiny_tokenizer.added_token_ids()
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "do_sample": True,
        "repetition_penalty": 1.05,
        "temperature": 1e-6,
    }


def _preprocessor_config() -> dict[str, Any]:
    return {
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
    }


def _rename(name: str, naming: str) -> str:
    if naming not in NAMINGS:
        raise ValueError(f"naming: expected one of {NAMINGS}, got {naming!r}")
    if naming == "hub" or name == "lm_head.weight":
        return name
    base = name.replace("model.", "language_model.", 1) if name.startswith("model.") else name
    return f"model.{base}" if naming == "new" else base


def _split_by_size(shapes: dict[str, tuple[int, ...]], shards: int) -> list[list[str]]:
    """Cuts the names, in order, into `shards` groups of about equal size."""
    sizes = np.cumsum([np.prod(shape) for shape in shapes.values()])
    numbers = np.minimum((sizes - 1) * shards // sizes[-1], shards - 1)
    return [
        [name for name, of in zip(shapes, numbers, strict=True) if of == number]
        for number in range(shards)
    ]


def _write_index(folder, weight_map, shapes, dtype) -> None:
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    size = count * _numpy_dtype(dtype).itemsize
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    _write_json(folder / "model.safetensors.index.json", index)


def _save(tensors: dict[str, np.ndarray], path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(tensors, path, metadata={"format": "pt"})


def _numpy_dtype(name: str) -> np.dtype:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
