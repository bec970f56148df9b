"""Random Qwen2.5-VL checkpoints in HF layout: small enough for tests, shaped to hide no mistake.

Norm weights are not 1 and biases not 0; the text epsilon (1e-3) is unlike the vision epsilon
(1e-6); rope sections are unequal; the head has more rows than the tokenizer has ids; query heads
come in groups of 3. Queries, keys, head and the last layer's output are scaled up, so that
entropies vary and the values of video tokens move them: with unit scales an answer of 48 tokens at
the default learning rate moves the entropy by 8e-4, less than tests can ask for.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tiny_vocabulary
from tiny_config import (
    LAYOUTS,
    ROPE,
    TEXT_SIZES,
    VISION_SIZES,
    generation_config,
    preprocessor_config,
    tensor_shapes,
    text_section,
    tiny_config,
)

__all__ = [
    "LAYOUTS",
    "NAMINGS",
    "ROPE",
    "TEXT_SIZES",
    "VISION_SIZES",
    "random_tensor",
    "tensor_shapes",
    "tiny_config",
    "write_checkpoint",
    "write_tiny_checkpoint",
]

NAMINGS = ("hub", "new", "base")

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
    _write_json(folder / "generation_config.json", generation_config())
    _write_json(folder / "preprocessor_config.json", preprocessor_config())
    tiny_vocabulary.write_tokenizer(folder)
    shapes = tensor_shapes(config)
    groups = _split_by_size(shapes, shards)
    last_layer = f"model.layers.{text_section(config)['num_hidden_layers'] - 1}."
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
