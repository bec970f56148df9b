"""Checkpoint folders that every release of transformers is asked to save, and what it is asked."""

import json
from pathlib import Path
from typing import Any

import tiny_config
import tiny_vocabulary

CASES = ("tiny", "tied", "published")

# Height and width of images and of frames: small, long, large, and one within all limits.
SIZES = ((56, 84), (30, 400), (640, 480), (336, 448))
FRAMES = 4
COLOUR = (10, 100, 250)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
WORDS = "What is  it?\n\nNow é"
KINDS = ((), ("video",), ("image", "video"))
TAGGED_TEXT = "<|im_start|>user\n <think> so</think>\n<answer>B</answer><|im_end|>\n"
VOCABULARY_FILES = ("tokenizer.json", "vocab.json", "merges.txt")

# The facts of the published 7B model.
PUBLISHED_TEXT = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "max_position_embeddings": 128000,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "vocab_size": 152064,
    "rope_theta": 1e6,
    "mrope_section": [16, 24, 24],
}
PUBLISHED_VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
# Trainers mark what the model said; it is rendered like the rest.
_END = "{{- '<|im_end|>\\n' -}}"
_MARKED_END = (
    f"{{%- if message.role == 'assistant' -%}}{{%- generation -%}}{_END}{{%- endgeneration -%}}"
    f"{{%- else -%}}{_END}{{%- endif -%}}"
)


def write_source(folder: Path, case: str) -> None:
    """Writes what a release loads before it saves: the layout of the published repositories."""
    folder.mkdir(parents=True)
    tiny_vocabulary.write_tokenizer(folder)
    template = tiny_vocabulary.CHAT_TEMPLATE.replace(_END, _MARKED_END)
    write_json(folder / "chat_template.json", {"chat_template": template})
    write_json(folder / "generation_config.json", tiny_config.generation_config())
    sizes = {"text": PUBLISHED_TEXT, "vision": PUBLISHED_VISION} if case == "published" else {}
    config = tiny_config.tiny_config(tied=case == "tied", dtype="bfloat16", **sizes)
    write_json(folder / "config.json", config)
    processor = tiny_config.preprocessor_config()
    if case != "published":
        processor |= {"min_pixels": 6272, "max_pixels": 50176, "image_mean": [0.1, 0.2, 0.3]}
        video = {
            **processor,
            "min_pixels": 12544,
            "max_pixels": 37632,
            "image_std": [0.5, 0.6, 0.7],
        }
        write_json(folder / "video_preprocessor_config.json", video)
    write_json(folder / "preprocessor_config.json", processor)


def messages(kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    """Returns one user turn: media, then words."""
    content = [*({"type": kind} for kind in kinds), {"type": "text", "text": WORDS}]
    return [{"role": "user", "content": content}]


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
