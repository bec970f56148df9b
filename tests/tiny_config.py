"""Configs and tensor shapes of tiny Qwen2.5-VL checkpoints, in the layouts found in the wild."""

from collections.abc import Iterator
from typing import Any

import tiny_vocabulary

LAYOUTS = ("flat", "nested", "mixed")

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
    shapes = dict(_text_shapes(text_section(config)))
    shapes.update(_vision_shapes(config["vision_config"]))
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"]
    return shapes


def text_section(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the part of a config that holds the text sizes: a section, or the root."""
    return config.get("text_config") or config


def generation_config() -> dict[str, Any]:
    """Returns generation_config.json: the published values with the tiny tokenizer's ids."""
    ids = tiny_vocabulary.added_token_ids()
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "do_sample": True,
        "repetition_penalty": 1.05,
        "temperature": 1e-6,
    }


def preprocessor_config() -> dict[str, Any]:
    """Returns preprocessor_config.json with the published values."""
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
    ids = tiny_vocabulary.added_token_ids()
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
