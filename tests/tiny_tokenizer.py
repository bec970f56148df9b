"""A small tokenizer of the Qwen2 class in HF layout, for tests that have no published files."""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

_PUBLISHED = "shared/published/qwen2.5-vl-7b-instruct"
_PLACES = [parent / _PUBLISHED for parent in Path(__file__).resolve().parents]
PUBLISHED = next((place for place in _PLACES if place.is_dir()), _PLACES[1])
NO_PUBLISHED = f"needs Qwen2.5-VL-7B's tokenizer files in {_PUBLISHED}, here or in a folder above"

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
NOT_SPECIAL = [
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
]  # fmt: skip
ADDED = SPECIAL + NOT_SPECIAL

# Each piece is merged byte by byte from the left; runs of newlines must merge across a border.
PIECES = [
    "\n\n", "\n\n\n", "user", "system", " the", " video", "<|", "|>", "im", "_start", " is",
    "é", "日", "  ", "assistant", "answer", "?\n", "?\n\n",
]  # fmt: skip

TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# Texts that a careless tokenizer gets wrong.
ODD_TEXTS = [
    "plain words", "e\u0301 and \u212b and \ufb01", "12345 3.14", "\n\n\nx", " \t\r\n  y ",
    "it's WE'LL don't", "日本語 العربية 👩‍👩‍👧 \U0001f3fd", "a\u0000b\u200d",
    "\ue000question\ue001",
    "x" * 300, "   ", *ADDED, "before" + "".join(ADDED) + "after",
]  # fmt: skip


def write_tiny_tokenizer(folder: Path, *, layout: str = "tokenizer.json") -> Path:
    """Writes tokenizer, template and id configs into `folder`; `layout` may be "vocab+merges"."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = vocabulary_and_merges()
    ids = {text: len(vocabulary) + rank for rank, text in enumerate(ADDED)}
    if layout == "tokenizer.json":
        _whole_tokenizer(vocabulary, merges).save(str(folder / "tokenizer.json"))
    else:
        write_json(folder / "vocab.json", vocabulary)
        lines = ["#version: 0.2", *map(" ".join, merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", _settings(ids))
    write_json(folder / "chat_template.json", {"chat_template": TEMPLATE})
    write_json(folder / "config.json", config(ids))
    eos = [ids["<|im_end|>"], ids["<|endoftext|>"]]
    write_json(folder / "generation_config.json", {"eos_token_id": eos})
    return folder


def config(ids: dict[str, int]) -> dict:
    return {
        "model_type": "qwen2_5_vl",
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
    }


def vocabulary_and_merges() -> tuple[dict[str, int], list[tuple[str, str]]]:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary = {s: i for i, s in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = []
    for piece in PIECES:
        symbols = "".join(part for part, _ in byte_level.pre_tokenize_str(piece))
        for end in range(2, len(symbols) + 1):
            if symbols[:end] not in vocabulary:
                vocabulary[symbols[:end]] = len(vocabulary)
                merges.append((symbols[: end - 1], symbols[end - 1]))
    return vocabulary, merges


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _whole_tokenizer(vocabulary, merges) -> Tokenizer:
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for text in ADDED:
        tokenizer.add_tokens([AddedToken(text, normalized=False, special=text in SPECIAL)])
    return tokenizer


def _settings(ids: dict[str, int]) -> dict:
    flags = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    tokens = {
        str(i): {"content": text, "special": text in SPECIAL, **flags} for text, i in ids.items()
    }
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": tokens,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": None,
        "unk_token": None,
        "model_max_length": 131072,
        "clean_up_tokenization_spaces": False,
    }
