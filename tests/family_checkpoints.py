"""Tiny random checkpoints of families that tests/tiny.py does not write: they hide nothing.

Head widths that are no share of the width, unequal rope sections, frames of another shape than the
table of positions, norm weights that are not 1, more layers than DeepStack reaches.
"""

import json
from pathlib import Path
from typing import Any

import tiny_vocabulary
from tiny import random_tensor

from vreason_jax.families.registry import model_config_from_hf
from vreason_jax.runtime.names import embedding_name, expected_tensors

_IDS = {
    "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
}  # fmt: skip
SEED = 1
HALVES = [0.5, 0.5, 0.5]
WITHOUT_SYSTEM = tiny_vocabulary.CHAT_TEMPLATE.replace(
    "{%- if messages and messages[0].role != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}",
    "",
)


def write(
    folder: Path,
    family: str = "qwen3_vl",
    *,
    layout: str = "hub",
    tied: bool = False,
    dtype: str = "float32",
) -> Path:
    """Writes a checkpoint folder in HF layout and returns it.

    `layout` is that of config.json: "hub" as in the published repositories, "nested" as
    transformers 5 saves it. The weights are the same in both, and rounded to `dtype`.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    values = CONFIGS[family](layout, tied, dtype)
    ids = tiny_vocabulary.added_token_ids()
    eos = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    for name, content in (
        ("config", values),
        ("generation_config", {"eos_token_id": eos, "pad_token_id": eos[1]}),
        *PROCESSORS[family].items(),
        ("chat_template", {"chat_template": TEMPLATES[family]}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))
    tiny_vocabulary.write_tokenizer(folder)
    config = model_config_from_hf(values)
    prefix = embedding_name(config).removesuffix("embed_tokens.weight")
    last = f"{prefix}layers.{config.text.layers - 1}."
    tensors = {
        name: random_tensor(name, tensor.stored_shape, SEED, dtype, last)
        for name, tensor in expected_tensors(config).items()
    }
    for name in tensors:
        if name.endswith("pos_embed.weight"):
            tensors[name] *= 4  # as large as the patches that it is added to
        if name.endswith(("q_norm.weight", "k_norm.weight")):
            tensors[name] *= 2  # attention that looks at some tokens more than at others
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def qwen3_vl(layout: str, tied: bool, dtype: str) -> dict[str, Any]:
    """Returns config.json values of a tiny Qwen3-VL."""
    ids = {key: tiny_vocabulary.added_token_ids()[text] for key, text in _IDS.items()}
    rope = {"rope_type": "default", "mrope_section": [3, 3, 2], "mrope_interleaved": True}
    text = {
        "model_type": "qwen3_vl_text", "hidden_size": 48, "intermediate_size": 80,
        "num_hidden_layers": 5, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16,
        "vocab_size": 320, "rms_norm_eps": 1e-3, "hidden_act": "silu", "attention_bias": False,
        "max_position_embeddings": 4096, "dtype": dtype,
    }  # fmt: skip
    vision = {
        "depth": 4, "hidden_size": 32, "intermediate_size": 56, "num_heads": 2,
        "out_hidden_size": 48, "num_position_embeddings": 36, "patch_size": 4,
        "temporal_patch_size": 2, "spatial_merge_size": 2, "in_channels": 3,
        "deepstack_visual_indexes": [0, 1, 2], "hidden_act": "gelu_pytorch_tanh",
    }  # fmt: skip
    root = {
        "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl",
        "tie_word_embeddings": tied, **ids,
    }  # fmt: skip
    if layout == "hub":
        text |= {"rope_scaling": rope, "rope_theta": 5e6, "tie_word_embeddings": tied}
    else:
        text |= {"rope_parameters": {**rope, "rope_theta": 5e6}}
        vision["rope_parameters"] = {"rope_type": "axial", "rope_theta": 10000.0}
        root["dtype"] = text.pop("dtype")
    return {**root, "text_config": text, "vision_config": vision}


def qwen2_vl(layout: str, tied: bool, dtype: str) -> dict[str, Any]:
    """Returns config.json values of a tiny Qwen2-VL."""
    ids = {key: tiny_vocabulary.added_token_ids()[text] for key, text in _IDS.items()}
    rope = {"rope_type": "default", "mrope_section": [1, 3, 4]}
    text = {
        "hidden_size": 96, "intermediate_size": 80, "num_hidden_layers": 3,
        "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 320,
        "rms_norm_eps": 1e-3, "hidden_act": "silu", "max_position_embeddings": 4096,
        "use_sliding_window": False,
    }  # fmt: skip
    vision = {
        "depth": 3, "embed_dim": 32, "hidden_size": 96, "mlp_ratio": 2, "num_heads": 2,
        "patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2,
        "hidden_act": "quick_gelu",
    }  # fmt: skip
    root = {
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl",
        "tie_word_embeddings": tied, **ids,
    }  # fmt: skip
    if layout == "hub":
        rope = {**rope, "type": "mrope"}
        root |= {**text, "rope_theta": 1000.0, "rope_scaling": rope, "torch_dtype": dtype}
        return {**root, "vision_config": {**vision, "in_chans": 3}}
    text |= {"model_type": "qwen2_vl_text", "rope_parameters": {**rope, "rope_theta": 1000.0}}
    return {**root, "dtype": dtype, "text_config": text, "vision_config": vision}


CONFIGS = {"qwen3_vl": qwen3_vl, "qwen2_vl": qwen2_vl}
TEMPLATES = {"qwen3_vl": WITHOUT_SYSTEM, "qwen2_vl": tiny_vocabulary.CHAT_TEMPLATE}
_SIZES = {"patch_size": 4, "temporal_patch_size": 2, "merge_size": 2}
PROCESSORS = {
    "qwen2_vl": {
        "preprocessor_config": {
            **_SIZES, "min_pixels": 64, "max_pixels": 1048576,
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": "Qwen2VLProcessor",
        },
        "video_preprocessor_config": {
            **_SIZES, "size": {"shortest_edge": 64, "longest_edge": 65536},
            "video_processor_type": "Qwen2VLVideoProcessor",
            "processor_class": "Qwen2VLProcessor",
        },
    },
    "qwen3_vl": {
        "preprocessor_config": {
            "size": {"shortest_edge": 64, "longest_edge": 1048576}, **_SIZES,
            "image_mean": HALVES, "image_std": HALVES,
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "processor_class": "Qwen3VLProcessor",
        },
        "video_preprocessor_config": {
            "size": {"shortest_edge": 128, "longest_edge": 2097152}, **_SIZES,
            "image_mean": HALVES, "image_std": HALVES,
            "video_processor_type": "Qwen3VLVideoProcessor",
            "processor_class": "Qwen3VLProcessor",
        },
    }
}  # fmt: skip
