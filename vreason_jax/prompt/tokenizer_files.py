"""Reads a byte-level BPE tokenizer folder in HF layout into a bare BPE and a table of added tokens.

Through the `tokenizers` library alone: importing transformers and its AutoTokenizer costs two to
three seconds more, and gives the same ids. Nothing is unpickled and no code of the folder runs.
"""

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.json_files import read_json
from vreason_jax.prompt.isolation import TOKENIZER, IsolationError, ask
from vreason_jax.regular_files import read_bytes

# Contractions, words with one leading symbol, single digits, punctuation, line ends, blanks
# (the pattern of Qwen2; a tokenizer.json states it itself, vocab.json and merges.txt cannot).
PUBLISHED_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
NAMED_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
FILES = (
    "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json",
    "special_tokens_map.json",
)  # fmt: skip
TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


@dataclasses.dataclass(frozen=True)
class TokenizerFiles:
    """What a folder says: `bpe` knows no added tokens, so every text is plain text to it."""

    bpe: Tokenizer
    added: dict[str, int]  # text of an added token -> id
    finder: Tokenizer  # finds added tokens in a text as the library does, and nothing else
    settings: dict[str, Any]  # tokenizer_config.json, and special_tokens_map.json below it


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Returns the tokenizer of `folder`: tokenizer.json, else vocab.json and merges.txt.

    Raises UserError where files are missing, broken, or not of a byte-level BPE.
    """
    # The library ends the whole process on some files, so that another one goes first.
    _try_out(folder.resolve(), _digest(folder))
    return read_in_this_process(folder)


def read_in_this_process(folder: Path) -> TokenizerFiles:
    """Returns the tokenizer of a folder whose files may crash the library; raises as above."""
    named = read_json(folder / "special_tokens_map.json")
    own = read_json(folder / "tokenizer_config.json")
    settings = {**named, **{key: value for key, value in own.items() if value is not None}}
    _check_named_tokens(folder, settings)
    tokens = _declared_tokens(folder, settings)
    whole = folder / "tokenizer.json"
    if whole.is_file():
        full = _guarded(whole, lambda: Tokenizer.from_file(str(whole)))
        bpe = _without_added_tokens(full)
        # Where files disagree about a token, this one goes first, as in the library.
        tokens |= {t.content: (i, t) for i, t in full.get_added_tokens_decoder().items()}
    else:
        bpe = _assemble(folder)
    _check_byte_level(folder, bpe)
    tokens.pop("", None)  # which the library passes over
    added = {text: i for text, (i, _) in tokens.items()}
    finder = Tokenizer(models.BPE())
    if bpe.normalizer is not None:
        finder.normalizer = bpe.normalizer
    finder.add_tokens([token for _, token in tokens.values()])
    return TokenizerFiles(bpe, added, finder, settings)


@functools.lru_cache(maxsize=256)
def _try_out(folder: Path, digest: str) -> None:
    """Lets prompt/tokenizer_process.py read the files first; once, as long as they are the same."""
    try:
        reply = ask(TOKENIZER, {"folder": str(folder)})
    except IsolationError as error:
        raise UserError(f"{folder}: the tokenizer cannot be read: {error}") from None
    if "error" in reply:
        raise UserError(reply["error"])


def _digest(folder: Path) -> str:
    """Of all the files that make the tokenizer, and which of them are there."""
    total = hashlib.sha256()
    for name in FILES:
        try:
            data = read_bytes(folder / name)
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = one_line(error.strerror or error)
            raise UserError(f"{folder / name}: the tokenizer cannot be read: {reason}") from None
        total.update(f"{name} {len(data)} ".encode() + data)
    return total.hexdigest()


@functools.cache
def byte_symbols() -> dict[str, int]:
    """Returns the byte of each of the 256 symbols of a byte-level vocabulary, in the order of ids.

    As in GPT-2, printable Latin-1 bytes stand for themselves and come first, the others for the
    characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + rank): byte for rank, byte in enumerate(others)}


def byte_level_tokenizer(bpe: models.BPE) -> Tokenizer:
    """Returns the tokenizer of a vocabulary that cuts texts as published ones do."""
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PUBLISHED_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def token_text(value: Any) -> str | None:
    """Returns the text of a token as tokenizer_config.json names it: plain, or as an object."""
    return value.get("content") if isinstance(value, dict) else value


def _assemble(folder: Path) -> Tokenizer:
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    if not (vocabulary.is_file() and merges.is_file()):
        raise UserError(
            f"{folder}: no tokenizer; expected tokenizer.json, or vocab.json and merges.txt"
        )
    files = str(vocabulary), str(merges)
    return byte_level_tokenizer(_guarded(folder, lambda: models.BPE.from_file(*files)))


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
    raise UserError(f"{folder}: expected a byte-level BPE tokenizer; {problem}")


def _declared_tokens(folder: Path, settings: dict[str, Any]) -> dict[str, tuple[int, AddedToken]]:
    """Added tokens by text, with their ids, of the files that stand beside the vocabulary."""
    legacy = read_json(folder / "added_tokens.json")
    try:
        tokens = {text: (int(i), AddedToken(text, normalized=False)) for text, i in legacy.items()}
        for i, token in settings.get("added_tokens_decoder", {}).items():
            flags = {name: bool(token[name]) for name in TOKEN_FLAGS if name in token}
            tokens[token["content"]] = int(i), AddedToken(token["content"], **flags)
        wrong = next(
            (f"{shown(text)}: {i}" for text, (i, _) in tokens.items() if not 0 <= i < 2**31), ""
        )
        if wrong:
            raise ValueError(f"an id that is none, {wrong:.60}")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(f"{folder}: broken list of added tokens: {shown(error)}") from None
    return tokens


def _check_named_tokens(folder: Path, settings: dict[str, Any]) -> None:
    for key in NAMED_TOKENS:
        value = settings.get(key)
        if not isinstance(token_text(value), str | None):
            raise UserError(
                f"{folder}: expected {key} in tokenizer_config.json or special_tokens_map.json to "
                f"be text, got {shown(value)}"
            )


def _guarded(path: Path, read: Any) -> Any:
    """Calls into the library, which reports broken files as bare Exception or as a Rust panic."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise UserError(f"{path}: the tokenizer cannot be read: {one_line(error)}") from None
