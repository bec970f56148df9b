"""The checkpoint in HF layout: its small files before training, its weights after."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from vreason_jax.convert.safetensors_export import write_safetensors
from vreason_jax.families.registry import FAMILIES
from vreason_jax.model.config import ModelConfig
from vreason_jax.output.folders import written_whole
from vreason_jax.shapes.scene import HEIGHT, WIDTH, WINDOW_SIZE
from vreason_jax.shapes.tokenizer import VOCABULARY_SIZE, added_token_ids, build_tokenizer
from vreason_jax.training.batches import TOKENS_PER_SECOND
from vreason_jax.training.config import GEOMETRY, ModelSizes, RunOptions
from vreason_jax.video.patches import CLIP_NORMALIZATION

MAX_POSITIONS = 4096
FAMILY = next(iter(FAMILIES.values()))  # of the models that are trained


def write_small_files(folder: Path, model: ModelSizes, run: RunOptions) -> None:
    """Writes the files of a checkpoint except the weights: configs, tokenizer, chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    build_tokenizer(folder, FAMILY.classes["tokenizer"])
    ids = added_token_ids()
    processor = {**_processor(), "min_pixels": HEIGHT * WIDTH, "max_pixels": HEIGHT * WIDTH}
    for name, values in (
        ("config.json", hf_config(model, run.dtype)),
        ("generation_config.json", _generation(ids)),
        (
            "preprocessor_config.json",
            {**processor, "image_processor_type": FAMILY.classes["image_processor"]},
        ),
        ("video_preprocessor_config.json", {**processor, **_video_processor()}),
    ):
        text = json.dumps(values, indent=2) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


def export(
    target: Path, small_files: Path, config: ModelConfig, arrays: dict[str, Any], dtype: str
) -> None:
    """Writes the whole checkpoint folder in one step, in place of an older one."""
    cast = {path: jnp.asarray(array).astype(dtype) for path, array in arrays.items()}
    with written_whole(target) as draft:
        for file in sorted(small_files.iterdir()):
            shutil.copyfile(file, draft / file.name)
        write_safetensors(draft, config, cast)


def hf_config(model: ModelSizes, dtype: str) -> dict[str, Any]:
    """Returns config.json in the layout of the Hub's checkpoints."""
    ids = added_token_ids()
    return {
        "architectures": [FAMILY.classes["model"]],
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "hidden_act": "silu",
        "hidden_size": model.text_width,
        "initializer_range": 0.02,
        "intermediate_size": model.text_mlp_width,
        "max_position_embeddings": MAX_POSITIONS,
        "max_window_layers": model.text_layers,
        "model_type": FAMILY.name,
        "num_attention_heads": model.heads,
        "num_hidden_layers": model.text_layers,
        "num_key_value_heads": model.kv_heads,
        "rms_norm_eps": 1e-6,
        "rope_theta": model.rope_theta,
        "sliding_window": MAX_POSITIONS,
        "tie_word_embeddings": model.tied,
        "torch_dtype": dtype,
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": _vision(model),
        "rope_scaling": {"type": "mrope", "mrope_section": list(model.mrope_section)},
        "vocab_size": VOCABULARY_SIZE,
    }


def _vision(model: ModelSizes) -> dict[str, Any]:
    return {
        "depth": model.vision_depth,
        "hidden_act": "silu",
        "hidden_size": model.vision_width,
        "intermediate_size": model.vision_mlp_width,
        "num_heads": model.vision_heads,
        "in_chans": 3,
        "out_hidden_size": model.text_width,
        "patch_size": GEOMETRY.patch_pixels,
        "spatial_merge_size": GEOMETRY.merge,
        "window_size": WINDOW_SIZE,
        "fullatt_block_indexes": [model.vision_depth - 1],
        "tokens_per_second": int(TOKENS_PER_SECOND),
        "temporal_patch_size": GEOMETRY.temporal_patch,
    }


def _processor() -> dict[str, Any]:
    return {
        "patch_size": GEOMETRY.patch_pixels,
        "temporal_patch_size": GEOMETRY.temporal_patch,
        "merge_size": GEOMETRY.merge,
        "image_mean": list(CLIP_NORMALIZATION.mean),
        "image_std": list(CLIP_NORMALIZATION.std),
        "processor_class": FAMILY.classes["processor"],
    }


def _video_processor() -> dict[str, Any]:
    area = HEIGHT * WIDTH
    return {
        "video_processor_type": FAMILY.classes["video_processor"],
        "size": {"shortest_edge": area, "longest_edge": area},
        "fps": 2.0,
        "min_frames": 4,
        "max_frames": 20,
        "do_sample_frames": False,
    }


def _generation(ids: dict[str, int]) -> dict[str, Any]:
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "do_sample": False,
    }
