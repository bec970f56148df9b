"""A small byte-level BPE tokenizer, trained on the words of `shapes`."""

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from vreason_jax.prompt.tokenizer_files import byte_level_tokenizer, byte_symbols
from vreason_jax.shapes.kinds import KINDS, LEVELS
from vreason_jax.shapes.sample import sample_text
from vreason_jax.shapes.text import SYSTEM

# 256 bytes, the merges, 22 added tokens: with these nearly every word is one token.
VOCABULARY_SIZE = 672
CORPUS_SAMPLES = 2400

# In the published order of the Qwen2.5 tokenizers; the first 14 are special (left out on decoding).
ADDED_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>",
    "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
SPECIAL_TOKENS = 14

CHAT_TEMPLATE = """\
{%- for message in messages %}
{%- if loop.first and message.role != 'system' %}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}
{{- message.content }}
{%- else %}
{%- for part in message.content %}
{%- if part.type == 'video' %}
{{- '<|vision_start|><|video_pad|><|vision_end|>' }}
{%- elif part.type == 'image' %}
{{- '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- else %}
{{- part.text }}
{%- endif %}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""


def build_tokenizer(
    folder: str | Path, tokenizer_class: str, vocabulary_size: int = VOCABULARY_SIZE
) -> Tokenizer:
    """Trains the tokenizer, writes its files into `folder`, and returns it.

    Writes tokenizer.json, tokenizer_config.json, which names transformers' `tokenizer_class` for
    them, vocab.json, merges.txt and chat_template.json. The same call writes the same bytes. Bytes
    have ids 0 to 255, merges follow by rank, and the added tokens are the last 22:
    `added_token_ids` gives their ids.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    merges = _train_merges(vocabulary_size - len(ADDED_TOKENS))
    symbols = [*byte_symbols(), *(left + right for left, right in merges)]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    tokenizer = _assemble(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "vocab.json", vocabulary)
    lines = "".join(f"{left} {right}\n" for left, right in merges)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}", encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", _class_config(len(symbols), tokenizer_class))
    _write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    return tokenizer


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Returns the tokenizer that `build_tokenizer` wrote."""
    return Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))


def added_token_ids(vocabulary_size: int = VOCABULARY_SIZE) -> dict[str, int]:
    """Returns the id of every added token, such as "<|video_pad|>"."""
    first = vocabulary_size - len(ADDED_TOKENS)
    return {token: first + number for number, token in enumerate(ADDED_TOKENS)}


def corpus(samples: int = CORPUS_SAMPLES) -> Iterator[str]:
    """Yields the words of prompts and replies of the train split, without the added tokens."""
    yield from [f"system\n{SYSTEM}", "assistant\n"] * samples
    for index in range(samples):
        kind = KINDS[index % len(KINDS)]
        text = sample_text("train", index, kind, LEVELS[index // len(KINDS) % len(LEVELS)])
        yield f"user\n{text.question}"
        yield text.reply


def _train_merges(base_size: int) -> list[tuple[str, str]]:
    tokenizer = _assemble(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=base_size + len(ADDED_TOKENS),
        special_tokens=list(ADDED_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def _assemble(model: models.BPE) -> Tokenizer:
    tokenizer = byte_level_tokenizer(model)
    if tokenizer.get_vocab_size():
        tokenizer.add_special_tokens(list(ADDED_TOKENS[:SPECIAL_TOKENS]))
        tokenizer.add_tokens(list(ADDED_TOKENS[SPECIAL_TOKENS:]))
    return tokenizer


def _class_config(first_added: int, tokenizer_class: str) -> dict:
    added = {
        str(first_added + number): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": number < SPECIAL_TOKENS,
        }
        for number, token in enumerate(ADDED_TOKENS)
    }
    return {
        "tokenizer_class": tokenizer_class,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": list(ADDED_TOKENS[1:SPECIAL_TOKENS]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 4096,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "unk_token": None,
    }


def _write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
