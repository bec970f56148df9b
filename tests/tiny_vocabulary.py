"""A byte-level tokenizer of some 300 entries with Qwen's added tokens, for tiny checkpoints."""

import json
from pathlib import Path
from typing import Any

# Published order; in the published vocabulary they have the ids 151643 to 151664.
SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
PLAIN_ADDED_TOKENS = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
)  # fmt: skip
ADDED_TOKENS = SPECIAL_TOKENS + PLAIN_ADDED_TOKENS

# Ranked; every side is a byte symbol or an earlier result. "Ġ" is the byte symbol of a space.
_MERGES = (
    "Ġ t", "h e", "i n", "Ġ a", "r e", "o n", "Ġt he", "e r", "a t", "Ġ s", "o u", "Ġ w", "i s",
    "n d", "in g", "o r", "Ġ i", "e d", "Ġ o", "Ġo f", "i t", "Ġa nd", "v i", "vi d", "vid e",
    "Ġ c", "a s", "Ġ b", "a n", "l l",
)  # fmt: skip

# How Qwen2 cuts text before BPE: contractions, words, single digits, punctuation, line ends.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = (
    "{%- set seen = namespace(images=0, videos=0) -%}"
    "{%- if messages and messages[0].role != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- set parts = message.content -%}"
    "{%- if parts is string -%}{%- set parts = [{'type': 'text', 'text': parts}] -%}{%- endif -%}"
    "{%- for part in parts -%}"
    "{%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}"
    "{%- set seen.images = seen.images + 1 -%}"
    "{{- 'Picture %d: ' % seen.images if add_vision_id else '' -}}"
    "{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}"
    "{%- elif part.type == 'video' or 'video' in part -%}"
    "{%- set seen.videos = seen.videos + 1 -%}"
    "{{- 'Video %d: ' % seen.videos if add_vision_id else '' -}}"
    "{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}"
    "{%- elif 'text' in part -%}{{- part.text -}}{%- endif -%}"
    "{%- endfor -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{{- '<|im_start|>assistant\\n' if add_generation_prompt else '' -}}"
)


def base_vocabulary() -> dict[str, int]:
    """Returns symbol -> id without the added tokens: 256 byte symbols, then the merge results."""
    symbols = [*_byte_symbols(), *(merge.replace(" ", "") for merge in _MERGES)]
    return {symbol: number for number, symbol in enumerate(symbols)}


def added_token_ids() -> dict[str, int]:
    """Returns the id of each added token: they follow the base vocabulary in published order."""
    start = len(base_vocabulary())
    return {token: start + number for number, token in enumerate(ADDED_TOKENS)}


def tokenizer_size() -> int:
    """Returns how many ids the tokenizer knows, added tokens included."""
    return len(base_vocabulary()) + len(ADDED_TOKENS)


def write_tokenizer(folder: Path) -> None:
    """Writes tokenizer.json, vocab.json, merges.txt, tokenizer_config.json, chat_template.json."""
    _build_tokenizer().save(str(folder / "tokenizer.json"))
    _write_json(folder / "vocab.json", base_vocabulary())
    merges = "\n".join(_MERGES) + "\n"
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())
    _write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})


def _byte_symbols() -> list[str]:
    """The printable stand-ins of GPT-2: bytes that print stand for themselves and come first."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(256 + number) for number in range(others)]


def _build_tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers import processors as post_processors

    merges = [(left, right) for left, right in (merge.split(" ") for merge in _MERGES)]
    tokenizer = Tokenizer(models.BPE(vocab=base_vocabulary(), merges=merges))
    byte_level = {"add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_SPLIT), "isolated"), pre_tokenizers.ByteLevel(**byte_level)]
    )
    tokenizer.post_processor = post_processors.ByteLevel(**byte_level)
    tokenizer.decoder = decoders.ByteLevel(**byte_level)
    tokenizer.add_tokens([_added_token(token) for token in ADDED_TOKENS])
    return tokenizer


def _added_token(token: str) -> Any:
    from tokenizers import AddedToken

    return AddedToken(token, normalized=False, special=token in SPECIAL_TOKENS)


def _tokenizer_config() -> dict[str, Any]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(number): {"content": token, **flags, "special": token in SPECIAL_TOKENS}
            for token, number in added_token_ids().items()
        },
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
