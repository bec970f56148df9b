"""Small random checkpoints in HF layout for the tests of loading: no tokenizer, no real model."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from vreason_jax.families.registry import model_config_from_hf
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime import names

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def hf_config(**text: Any) -> dict[str, Any]:
    """Returns the values of a config.json in the Hub's flat form; `text` overrides root keys."""
    return {
        "model_type": "qwen2_5_vl",
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "hidden_size": 48,
        "intermediate_size": 72,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "vocab_size": 90,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 2, 2]},
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vision_config": {
            "depth": 2,
            "hidden_size": 24,
            "intermediate_size": 33,
            "num_heads": 2,
            "out_hidden_size": text.get("hidden_size", 48),
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
        },
        **text,
    }


def random_tensors(config: ModelConfig, dtype: np.dtype = BFLOAT16, seed: int = 0):
    """Returns random tensors by their names and in their shapes on the Hub."""
    rng = np.random.default_rng(seed)
    return {
        tensor.name: rng.standard_normal(tensor.stored_shape, dtype=np.float32).astype(dtype)
        for tensor in names.expected_tensors(config).values()
    }


def write_checkpoint(folder: Path, dtype: np.dtype = BFLOAT16, **text: Any):
    """Writes config.json and model.safetensors; returns the ModelConfig and the tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    values = hf_config(**text)
    (folder / "config.json").write_text(json.dumps(values))
    config = model_config_from_hf(values)
    tensors = random_tensors(config, dtype)
    save_tensors(folder / "model.safetensors", tensors)
    return config, tensors


def save_tensors(file: Path, tensors: dict[str, np.ndarray]) -> None:
    """Writes one safetensors file."""
    save_file(tensors, file, metadata={"format": "pt"})


def write_shards(folder: Path, tensors: dict[str, np.ndarray], count: int) -> None:
    """Replaces model.safetensors by `count` shards and their index."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    weight_map = {}
    for number in range(count):
        file = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
        members = dict(list(tensors.items())[number::count])
        save_tensors(folder / file, members)
        weight_map.update(dict.fromkeys(members, file))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
