"""Text to token ids and back, for a byte-level BPE tokenizer."""

import codecs
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from vreason_jax.errors import UserError, shown
from vreason_jax.json_files import read_json
from vreason_jax.prompt import tokenizer_files
from vreason_jax.prompt.template import STANDARD_TEMPLATE, ChatTemplate
from vreason_jax.prompt.tokenizer_files import TokenizerFiles

# config.json key and text of the tokens that the prompt is built around.
MEDIA_TOKENS = {
    "vision_start": ("vision_start_token_id", "<|vision_start|>"),
    "vision_end": ("vision_end_token_id", "<|vision_end|>"),
    "image_pad": ("image_token_id", "<|image_pad|>"),
    "video_pad": ("video_token_id", "<|video_pad|>"),
}

# What the published tokenizer calls special, which is no text. Tokens that a fine-tune adds are
# text, whatever it calls them: `<think>` and `<answer>` are for readers.
CONTROL_TOKENS = frozenset(
    f"<|{name}|>"
    for name in (
        *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start"),
        *("box_end", "quad_start", "quad_end", "vision_start", "vision_end", "vision_pad"),
        *("image_pad", "video_pad"),
    )
)


@dataclasses.dataclass(frozen=True)
class TokenIds:
    """The ids that the rest of the program needs by name."""

    vision_start: int
    vision_end: int
    image_pad: int
    video_pad: int
    pad: int  # fills a batch on the left
    eos: tuple[int, ...]  # any of them ends an answer

    def check_below(self, rows: int) -> None:
        """Raises UserError unless the model's embedding, of `rows` rows, has them all."""
        texts = {name: text for name, (_, text) in MEDIA_TOKENS.items()}
        named = [(texts[name], getattr(self, name)) for name in texts]
        named += [("pad_token_id", self.pad), *(("eos_token_id", i) for i in self.eos)]
        for name, token_id in named:
            if token_id >= rows:
                raise UserError(
                    f"expected ids below the vocab_size {rows} of config.json in the tokenizer's "
                    f"files and generation_config.json, got {name} {token_id}"
                )


class PromptTokenizer:
    """A tokenizer with its named ids and chat template; made by `PromptTokenizer.load`."""

    def __init__(self, files: TokenizerFiles, ids: TokenIds, template: ChatTemplate):
        self.ids = ids
        self.template = template
        self.added_tokens = files.added
        self._bpe = files.bpe
        self._finder = files.finder
        self._control = {i for text, i in files.added.items() if text in CONTROL_TOKENS}
        self._added_texts = {i: text for text, i in files.added.items()}
        self._bytes: dict[int, bytes] = {}  # of the ids met so far

    @classmethod
    def load(
        cls, folder: str | Path, standard_template: str = STANDARD_TEMPLATE
    ) -> "PromptTokenizer":
        """Returns the tokenizer of a local checkpoint folder in HF layout.

        Reads tokenizer.json, or vocab.json and merges.txt; tokenizer_config.json; the chat
        template, the standard one where the folder has none; and the named ids from config.json
        and generation_config.json. Raises UserError where something is missing, broken, or where
        config.json and the tokenizer disagree.
        """
        folder = Path(folder)
        files = tokenizer_files.read_tokenizer_files(folder)
        template = ChatTemplate.load(folder, files.settings, standard_template)
        return cls(files, _named_ids(folder, files), template)

    def __len__(self) -> int:
        """Returns the number of ids, added tokens included; the head may have more rows."""
        highest = max(self._added_texts, default=-1)
        return max(self._bpe.get_vocab_size(), highest + 1)

    def encode_text(self, text: str) -> list[int]:
        """Returns the ids of `text` by plain BPE: the text of an added token is only text."""
        return _encode(self._bpe, text).ids

    def encode_prompt(self, rendered: str, *, slot: str = "", text: str = "") -> list[int]:
        """Returns the ids of a rendered template in which `slot` stands for the user's `text`.

        Added tokens count as such where the template wrote them, never inside `text`. Between
        two of them everything is one piece of BPE, so `text` merges with what stands around it.
        """
        ids = []
        for piece, added in self._pieces(rendered):
            ids += self._encode_piece(piece, slot, text)
            ids += added
        return ids

    def words_at(self, rendered: str, *, slot: str, text: str) -> tuple[int, int]:
        """Returns which of `encode_prompt`'s ids hold characters of `text`: the first, and the end.

        Where the slot stands in several places, those of its first piece of BPE.
        """
        count = 0
        for piece, added in self._pieces(rendered):
            if slot in piece:
                after = len(piece) - piece.rindex(slot) - len(slot)
                whole, begin = piece.replace(slot, text), piece.index(slot)
                offsets = _encode(self._bpe, whole).offsets
                inside = [
                    n for n, (a, b) in enumerate(offsets) if b > begin and a + after < len(whole)
                ]
                return count + min(inside, default=0), count + max(inside, default=-1) + 1
            count += len(self._encode_piece(piece, slot, text)) + len(added)
        return 0, 0

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = True) -> str:
        """Returns the text of `ids`; broken UTF-8 becomes U+FFFD."""
        data = self.text_bytes(ids, skip_special_tokens=skip_special_tokens)
        return data.decode("utf-8", errors="replace")

    def text_bytes(self, ids: Iterable[int], *, skip_special_tokens: bool = True) -> bytes:
        """Returns the UTF-8 bytes of `ids`, which may begin or end inside a character.

        Ids beyond the tokenizer (surplus rows of the head) have none, nor do control tokens unless
        `skip_special_tokens` is false.
        """
        skipped = self._control if skip_special_tokens else ()
        return b"".join(self._token_bytes(i) for i in map(int, ids) if i not in skipped)

    def _pieces(self, rendered: str) -> Iterator[tuple[str, list[int]]]:
        """Yields the text up to each added token and that token's id; at the end, no id."""
        position = 0
        found = _encode(self._finder, rendered)
        # A token's flags may let it take the blanks beside it along.
        for rank, (start, end) in zip(found.ids, found.offsets, strict=True):
            yield (
                rendered[position:start],
                [self.added_tokens[self._finder.id_to_token(rank) or ""]],
            )
            position = end
        yield rendered[position:], []

    def _encode_piece(self, piece: str, slot: str, text: str) -> list[int]:
        if slot:
            piece = piece.replace(slot, text)
        return self.encode_text(piece) if piece else []

    def _token_bytes(self, token_id: int) -> bytes:
        if token_id not in self._bytes:
            self._bytes[token_id] = self._read_bytes(token_id)
        return self._bytes[token_id]

    def _read_bytes(self, token_id: int) -> bytes:
        symbols = self._added_texts.get(token_id)
        if symbols is None and token_id >= 0:
            symbols = self._bpe.id_to_token(token_id)
        if symbols is None:
            return b""
        table = tokenizer_files.byte_symbols()
        # As the library's ByteLevel decoder: a token with any other character stands for itself.
        if all(symbol in table for symbol in symbols):
            return bytes(table[symbol] for symbol in symbols)
        return symbols.encode()


class TextStream:
    """Turns token ids into text as they come; the pieces add up to `decode` of all ids.

    A character whose bytes are spread over several tokens comes out whole, with the last one.
    """

    def __init__(self, tokenizer: PromptTokenizer):
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, ids: Iterable[int]) -> str:
        """Returns the text that `ids` complete; it may be empty."""
        return self._decoder.decode(self._tokenizer.text_bytes(ids))

    def finish(self) -> str:
        """Returns what is left at the end: U+FFFD for an unfinished character, or nothing."""
        return self._decoder.decode(b"", final=True)


def _encode(tokenizer: Tokenizer, text: str) -> Encoding:
    try:
        return tokenizer.encode(text, add_special_tokens=False)
    except TypeError:
        # Undecodable bytes of a command line arrive as lone surrogates.
        raise UserError("prompt: expected valid Unicode text, got undecodable bytes") from None


def _named_ids(folder: Path, files: TokenizerFiles) -> TokenIds:
    config = read_json(folder / "config.json")
    media = {
        name: _media_id(folder, files, config, key, text)
        for name, (key, text) in MEDIA_TOKENS.items()
    }
    generation = read_json(folder / "generation_config.json")
    eos = _eos_ids(folder, files, config, generation)
    pad_text = tokenizer_files.token_text(files.settings.get("pad_token"))
    pad = files.added.get(pad_text, generation.get("pad_token_id"))  # type: ignore[arg-type]
    if pad is not None and not _is_id(pad):
        path = folder / "generation_config.json"
        raise UserError(f"{path}: expected pad_token_id to be 0, 1, ..., got {shown(pad)}")
    return TokenIds(**media, pad=eos[0] if pad is None else pad, eos=eos)


def _media_id(folder: Path, files: TokenizerFiles, config: dict, key: str, text: str) -> int:
    token_id = files.added.get(text)
    if token_id is None:
        raise UserError(f"{folder}: the tokenizer has no added token {text}, which shows media")
    wanted = _config_value(config, key)
    if wanted is not None and wanted != token_id:
        raise UserError(
            f"{folder}: config.json says {key} {wanted}, but {text} has id {token_id} in the "
            "tokenizer; use the tokenizer files that belong to this checkpoint"
        )
    return token_id


def _eos_ids(folder: Path, files: TokenizerFiles, config: dict, generation: dict) -> tuple:
    value = generation.get("eos_token_id")
    if value is None:
        value = _config_value(config, "eos_token_id")
    if value is None:
        text = tokenizer_files.token_text(files.settings.get("eos_token"))
        value = files.added.get(text)  # type: ignore[arg-type]
    ids = tuple(value) if isinstance(value, list) else (value,)
    if not ids or not all(map(_is_id, ids)):
        raise UserError(
            f"{folder}: expected eos_token_id in generation_config.json or config.json, or "
            f"eos_token in tokenizer_config.json, got {shown(value)}"
        )
    return ids


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _config_value(config: dict[str, Any], key: str) -> Any:
    """The value of `key` in config.json, flat or nested; newer files may hold null copies."""
    nested = config.get("text_config")
    value = config.get(key)
    return nested.get(key) if value is None and isinstance(nested, dict) else value
