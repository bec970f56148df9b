"""The files of a checkpoint folder as targets of damage."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mutation_runs import Target
from mutators import damage_json
from tiny import write_tiny_checkpoint

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import VideoConfig
from vreason_jax.convert.conversion import convert
from vreason_jax.runtime.checkpoint import load_arrays

PROCESSOR = {
    "image_processor": {
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": 3136, "longest_edge": 12845056},
    },
    "video_processor": {"min_pixels": 3136, "max_pixels": 200704, "rescale_factor": 1 / 255},
    "chat_template": None,
}


def _sound(folder: Path) -> None:
    write_tiny_checkpoint(folder, shards=2)
    (folder / "processor_config.json").write_text(json.dumps(PROCESSOR))
    (folder / "added_tokens.json").write_text('{"<|endoftext|>": 286}')
    (folder / "special_tokens_map.json").write_text(
        '{"eos_token": "<|im_end|>", "pad_token": null}'
    )


def _with_jinja(folder: Path) -> None:
    _sound(folder)
    text = json.loads((folder / "chat_template.json").read_text())["chat_template"]
    (folder / "chat_template.json").unlink()
    (folder / "chat_template.jinja").write_text(text)


def _without(name: str) -> Callable[[Path], None]:
    """A sound folder in which another file goes first no more."""

    def prepare(folder: Path) -> None:
        _sound(folder)
        (folder / name).unlink()

    return prepare


def _converted(folder: Path) -> None:
    source = folder.parent / "source"
    _sound(source)
    convert(source, folder, None, warn=lambda line: None)


def open_words(folder: Path) -> None:
    """Uses all of a folder but its weights."""
    checkpoint = Checkpoint.open(folder)
    checkpoint.preprocessing.video_sizing(VideoConfig())
    tokenizer = checkpoint.tokenizer
    ids = tokenizer.encode_prompt(tokenizer.template.render(["video"]), slot="x", text="How many?")
    tokenizer.decode([*ids, 5, 10**6])


def open_weights(folder: Path) -> Any:
    """Returns a digest of the weights, by the config of the folder."""
    config = Checkpoint.open(folder).config
    _, arrays = load_arrays(folder, config, "float32", warn=lambda line: None)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + np.asarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _target(file: str, use=open_words, prepare=_sound, **more) -> Target:
    return Target(file, prepare, lambda folder: sorted(folder.glob(file)), use, **more)


TARGETS = [
    _target("config.json", open_weights, damage=damage_json),
    _target("model.safetensors.index.json", open_weights, damage=damage_json, same=True),
    _target("*.safetensors", open_weights),
    _target("tokenizer.json", damage=damage_json),
    _target("tokenizer_config.json", damage=damage_json),
    _target("vocab.json", damage=damage_json, prepare=_without("tokenizer.json")),
    _target("merges.txt", prepare=_without("tokenizer.json")),
    _target("added_tokens.json", damage=damage_json),
    _target("special_tokens_map.json", damage=damage_json),
    _target("generation_config.json", damage=damage_json),
    _target(
        "preprocessor_config.json", prepare=_without("processor_config.json"), damage=damage_json
    ),
    _target("processor_config.json", damage=damage_json),
    _target("chat_template.json", damage=damage_json),
    _target("chat_template.jinja", prepare=_with_jinja),
    _target("weights.sizes.json", open_weights, _converted, damage=damage_json, same=True),
    _target("weights.sha256", open_weights, _converted, same=True),
    Target(
        "orbax",
        _converted,
        lambda folder: sorted(p for p in (folder / "weights").rglob("*") if p.is_file()),
        open_weights,
        same=True,
    ),
]
