"""Reads a Qwen2-class tokenizer folder in HF layout into a bare BPE and a table of added tokens.

Through the `tokenizers` library alone: importing transformers and its AutoTokenizer costs two to
three seconds more, and gives the same ids. Nothing is unpickled and no code of the folder runs.
"""

import dataclasses
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from vreason_jax.errors import UserError
from vreason_jax.json_files import read_json

# Contractions, words with one leading symbol, single digits, punctuation, line ends, blanks
# (the Qwen2 pattern; a tokenizer.json states it itself, vocab.json and merges.txt cannot).
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NAMED_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclasses.dataclass(frozen=True)
class TokenizerFiles:
    """What a folder says: `bpe` knows no added tokens, so every text is plain text to it."""

    bpe: Tokenizer
    added: dict[str, int]  # text of an added token -> id
    special: frozenset[int]  # ids of those that decoding leaves out
    settings: dict[str, Any]  # tokenizer_config.json


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Returns the tokenizer of `folder`: tokenizer.json, else vocab.json and merges.txt.

    Raises UserError where files are missing, broken, or not of a byte-level BPE.
    """
    settings = read_json(folder / "tokenizer_config.json")
    whole = folder / "tokenizer.json"
    if whole.is_file():
        full = _guarded(whole, lambda: Tokenizer.from_file(str(whole)))
        bpe = _without_added_tokens(full)
        tokens = {i: (t.content, t.special) for i, t in full.get_added_tokens_decoder().items()}
    else:
        bpe, tokens = _assemble(folder), {}
    _check_byte_level(folder, bpe)
    tokens = _declared_tokens(folder, settings) | tokens
    named = _named_texts(settings)
    special = (i for i, (text, is_special) in tokens.items() if is_special or text in named)
    added = {text: i for i, (text, _) in tokens.items()}
    return TokenizerFiles(bpe, added, frozenset(special), settings)


def token_text(value: Any) -> str | None:
    """Returns the text of a token as tokenizer_config.json names it: plain, or as an object."""
    return value.get("content") if isinstance(value, dict) else value


def _assemble(folder: Path) -> Tokenizer:
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    if not (vocabulary.is_file() and merges.is_file()):
        raise UserError(
            f"{folder}: no tokenizer; expected tokenizer.json, or vocab.json and merges.txt"
        )
    bpe = Tokenizer(_guarded(folder, lambda: models.BPE.from_file(str(vocabulary), str(merges))))
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    return bpe


def _without_added_tokens(full: Tokenizer) -> Tokenizer:
    """Shares the model of `full`, but not its added tokens, padding or truncation."""
    bare = Tokenizer(full.model)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        if getattr(full, part) is not None:
            setattr(bare, part, getattr(full, part))
    return bare


def _check_byte_level(folder: Path, bpe: Tokenizer) -> None:
    missing = [b for b in pre_tokenizers.ByteLevel.alphabet() if bpe.token_to_id(b) is None]
    if isinstance(bpe.model, models.BPE) and isinstance(bpe.decoder, decoders.ByteLevel):
        if not missing:
            return
        problem = f"its vocabulary lacks {len(missing)} of the 256 byte symbols"
    else:
        problem = f"got {type(bpe.model).__name__} with {type(bpe.decoder).__name__} decoding"
    raise UserError(f"{folder}: expected a byte-level BPE tokenizer, as Qwen2.5-VL has; {problem}")


def _declared_tokens(folder: Path, settings: dict[str, Any]) -> dict[int, tuple[str, bool]]:
    """Added tokens by id, as (text, special), of the files that stand beside the vocabulary."""
    legacy = read_json(folder / "added_tokens.json")
    try:
        tokens = {int(i): (str(text), False) for text, i in legacy.items()}
        for i, token in settings.get("added_tokens_decoder", {}).items():
            tokens[int(i)] = str(token["content"]), bool(token.get("special", False))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: broken list of added tokens: {error!r}") from None
    return tokens


def _named_texts(settings: dict[str, Any]) -> set[str | None]:
    extra = settings.get("additional_special_tokens") or settings.get("extra_special_tokens") or []
    values = list(extra.values()) if isinstance(extra, dict) else list(extra)
    return {token_text(value) for value in [*values, *map(settings.get, NAMED_TOKENS)]}


def _guarded(path: Path, read: Any) -> Any:
    """Calls into the library, which reports broken files as bare Exception or as a Rust panic."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise UserError(f"{path}: the tokenizer cannot be read: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
