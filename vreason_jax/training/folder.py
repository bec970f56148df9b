"""The checkpoint in HF layout: its small files before training, its weights after."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from vreason_jax.convert.safetensors_export import write_safetensors
from vreason_jax.families.family import Family
from vreason_jax.families.registry import FAMILIES
from vreason_jax.families.sizes import ModelSizes, Surroundings
from vreason_jax.model.config import ModelConfig
from vreason_jax.output.folders import written_whole
from vreason_jax.shapes.scene import HEIGHT, MAX_FRAMES, WIDTH, WINDOW_SIZE
from vreason_jax.shapes.tokenizer import VOCABULARY_SIZE, added_token_ids, build_tokenizer
from vreason_jax.training.config import GEOMETRY, RunOptions
from vreason_jax.video.preprocessing import FRAME_SIZE

MAX_POSITIONS = 4096
TOKENS_PER_SECOND = 2


def write_small_files(folder: Path, model: ModelSizes, run: RunOptions) -> None:
    """Writes the files of a checkpoint except the weights: configs, tokenizer, chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    family, ids = FAMILIES[model.family], added_token_ids()
    build_tokenizer(folder, family.classes["tokenizer"])
    for name, values in (
        ("config.json", hf_config(model, run.dtype)),
        ("generation_config.json", _generation(ids)),
        (
            "preprocessor_config.json",
            {**_processor(family), "image_processor_type": family.classes["image_processor"]},
        ),
        ("video_preprocessor_config.json", {**_processor(family), **_video_processor(family)}),
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
    ids, family = added_token_ids(), FAMILIES[model.family]
    assert family.small is not None  # training/config.py sees to it
    own = family.small(
        model,
        Surroundings(
            ids=ids,
            vocabulary=VOCABULARY_SIZE,
            positions=MAX_POSITIONS,
            geometry=GEOMETRY,
            window_pixels=WINDOW_SIZE,
            tokens_per_second=TOKENS_PER_SECOND,
            dtype=dtype,
        ),
    )
    return {
        "architectures": [family.classes["model"]],
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "tie_word_embeddings": model.tied,
        **own,
    }


def _processor(family: Family) -> dict[str, Any]:
    area, normalization = HEIGHT * WIDTH, family.media.normalization
    if family.media.clip is None:
        limits = {"min_pixels": area, "max_pixels": area}
    else:
        limits = {"size": {"shortest_edge": area, "longest_edge": area}}
    return {
        "patch_size": GEOMETRY.patch_pixels,
        "temporal_patch_size": GEOMETRY.temporal_patch,
        "merge_size": GEOMETRY.merge,
        "image_mean": list(normalization.mean),
        "image_std": list(normalization.std),
        "processor_class": family.classes["processor"],
        **limits,
    }


def _video_processor(family: Family) -> dict[str, Any]:
    area = HEIGHT * WIDTH
    limits: dict[str, Any] = {"size": {"shortest_edge": area, "longest_edge": area}}
    if family.media.clip is not None:  # then the limits of a frame have a name that is ours alone
        clip = {"shortest_edge": GEOMETRY.temporal_patch * area, "longest_edge": MAX_FRAMES * area}
        limits = {"size": clip, FRAME_SIZE: limits["size"]}
    return {
        "video_processor_type": family.classes["video_processor"],
        **limits,
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
