"""Builds the prompt of a question and its media: chat template, token ids, positions."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vreason_jax.config import PromptConfig
from vreason_jax.errors import UserError, one_line
from vreason_jax.prompt import positions as positions_lib
from vreason_jax.prompt.positions import Medium
from vreason_jax.prompt.template import SLOT, STANDARD_TEMPLATE
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.regular_files import read_text

QUESTION = "{question}"  # where a wrapping puts the user's words
TEXT_TOKEN, IMAGE_TOKEN, VIDEO_TOKEN = 0, 1, 2  # as transformers' mm_token_type_ids


def one_run_each(
    rendered: str, media: Sequence[Medium], config: PromptConfig
) -> tuple[str, Sequence[Medium]]:
    """Returns a rendered template as it is: each medium is one run of tokens."""
    del config
    return rendered, media


@dataclasses.dataclass(frozen=True)
class PromptForm:
    """How the prompts of a model family show media.

    `template` is the chat template for folders without one. `lay_out(rendered, media, config)` is
    given a rendered template, in which a pad token stands for each medium, and returns it as the
    family has it, and the runs of media tokens that its pads stand for, in order. `marks` is how
    many tokens of text, about, come with each temporal patch of a video.
    """

    template: str = STANDARD_TEMPLATE
    lay_out: Callable[[str, Sequence[Medium], PromptConfig], tuple[str, Sequence[Medium]]] = (
        one_run_each
    )
    marks: int = 0


COMMON_FORM = PromptForm()


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One prompt, ready for the model; media stand in it in the order of `media`."""

    token_ids: np.ndarray  # int32 [S]
    positions: np.ndarray  # int32 [3, S]: time, height, width
    next_position: int  # of the first generated token
    media: tuple[Medium, ...]
    token_types: np.ndarray  # int32 [S]: TEXT_TOKEN, IMAGE_TOKEN or VIDEO_TOKEN
    words: tuple[int, int] = (0, 0)  # the first token of the user's words, and the end

    @property
    def shared_length(self) -> int:
        """How many tokens stand up to the end of the last medium: questions about it share them.

        It is 0 without media. The template decides what follows, even whether <|vision_end|> does.
        """
        media = np.flatnonzero(self.token_types != TEXT_TOKEN)
        return int(media[-1]) + 1 if len(media) else 0


def build_prompt(
    tokenizer: PromptTokenizer,
    media: Sequence[Medium],
    text: str,
    *,
    wrapping: str = QUESTION,
    position_rule: str = "max",
    tokens_per_second: float | None,
    form: PromptForm = COMMON_FORM,
    config: PromptConfig | None = None,
) -> Prompt:
    """Returns the prompt of one user turn: the media in the order given, then `text` verbatim.

    `text` stands in the `wrapping`, where that says {question}. The template adds the system turn
    and opens the assistant's. Added tokens count as such in both of them and never in `text`.
    Every pad token of a medium is repeated for each of its tokens, in the family's `form`. Raises
    UserError for an empty turn and for a template that does not show every medium once and in
    order.
    """
    check_question(wrapping.replace(QUESTION, text))
    rendered = tokenizer.template.render([medium.kind for medium in media])
    rendered = rendered.replace(SLOT, wrapping.replace(QUESTION, SLOT))
    rendered, runs = form.lay_out(rendered, media, config or PromptConfig())
    ids = tokenizer.encode_prompt(rendered, slot=SLOT, text=text)
    layout = _layout(tokenizer, ids, runs)
    positions = positions_lib.prompt_positions(
        [part if isinstance(part, Medium) else len(part) for part in layout],
        rule=position_rule,
        tokens_per_second=tokens_per_second,
    )
    return Prompt(
        token_ids=np.concatenate([_part_ids(tokenizer, part) for part in layout]),
        positions=positions,
        next_position=positions_lib.next_position(positions),
        media=tuple(media),
        token_types=np.concatenate([_part_types(part) for part in layout]),
        words=_words(tokenizer, rendered, text, layout),
    )


def read_wrapping(template_file: str | Path | None) -> str:
    """Returns the text that a file puts around {question}; without a file, {question} alone.

    The newline that ends the file does not count. Raises UserError for a file that cannot be read
    or does not hold `{question}`.
    """
    if template_file is None:
        return QUESTION
    try:
        wrapping = read_text(template_file).removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"prompt.template: expected a text file with {QUESTION}, cannot read "
            f"{template_file}: {one_line(getattr(error, 'strerror', None) or error)}"
        ) from None
    if QUESTION not in wrapping:
        raise UserError(f"prompt.template: {template_file} lacks {QUESTION}; say where it goes")
    return wrapping


def check_question(text: str) -> None:
    """Raises UserError for a question that is empty or holds only blanks."""
    if not text.strip():
        raise UserError("prompt: expected a question, got empty text; give one, as --prompt TEXT")


def _layout(
    tokenizer: PromptTokenizer, ids: list[int], media: Sequence[Medium]
) -> list[list[int] | Medium]:
    """Splits the ids at their pad tokens: runs of text ids, and the media between them."""
    pads = {tokenizer.ids.image_pad: "image", tokenizer.ids.video_pad: "video"}
    shown = [pads[i] for i in ids if i in pads]
    wanted = [medium.kind for medium in media]
    if shown != wanted:
        raise UserError(
            f"chat template: expected it to show {_listing(wanted)}, it shows {_listing(shown)}; "
            "use the chat_template.json of the model's published checkpoint"
        )
    remaining = iter(media)
    layout: list[list[int] | Medium] = [[]]
    for token_id in ids:
        if token_id in pads:
            layout += [next(remaining), []]
        else:
            layout[-1].append(token_id)  # type: ignore[union-attr]
    return layout


def _words(
    tokenizer: PromptTokenizer, rendered: str, text: str, layout: Sequence[list[int] | Medium]
) -> tuple[int, int]:
    """Where the user's words stand among the prompt's tokens, which are more than its ids."""
    sizes = [
        size
        for part in layout
        for size in ([part.token_count] if isinstance(part, Medium) else [1] * len(part))
    ]
    places = np.cumsum([0, *sizes])
    first, end = tokenizer.words_at(rendered, slot=SLOT, text=text)
    return int(places[first]), int(places[end])


def _listing(kinds: list[str]) -> str:
    return ", ".join(kinds) or "no media"


def _part_ids(tokenizer: PromptTokenizer, part: list[int] | Medium) -> np.ndarray:
    if not isinstance(part, Medium):
        return np.array(part, np.int32)
    pad = tokenizer.ids.video_pad if part.kind == "video" else tokenizer.ids.image_pad
    return np.full(part.token_count, pad, np.int32)


def _part_types(part: list[int] | Medium) -> np.ndarray:
    if not isinstance(part, Medium):
        return np.full(len(part), TEXT_TOKEN, np.int32)
    kind = VIDEO_TOKEN if part.kind == "video" else IMAGE_TOKEN
    return np.full(part.token_count, kind, np.int32)
