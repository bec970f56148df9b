"""From a reply to what counts as its answer: strictly, and as a person would read it."""

import re

from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, Record
from vreason_jax.evaluation.scoring.choices import letter_in
from vreason_jax.evaluation.scoring.folding import plain_words, unboxed
from vreason_jax.evaluation.scoring.number_answer import number_in
from vreason_jax.evaluation.scoring.yes_no import yes_or_no
from vreason_jax.output.answer import CLOSING, OPENING, extract_answer

_LONGEST = 1500  # characters that are read of the beginning and of the end of an answer
_THINK, _END_OF_THOUGHT = "<think>", "</think>"
_TAG = re.compile(  # <Answer>, <thinking>
    r"<(/?)(?:(think|reason|thought|analysis|reflect)(?:ing|ion)?|(answer))>", re.IGNORECASE
)


def extract(text: str) -> str:
    """Returns the first answer block, or the whole text where there is none or an empty one.

    As Video-R1's extract_answer and what its reward_fn does with it.
    """
    return extract_answer(text) or text.strip()


def answer_part(text: str) -> str:
    """Returns `whole_part` without its middle where it is too long for an answer."""
    part = whole_part(text)
    return part if len(part) <= 2 * _LONGEST else f"{part[:_LONGEST]}\n{part[-_LONGEST:]}"


def whole_part(text: str) -> str:
    """Returns the part of a reply that holds its answer; "" where the reasoning was cut off.

    It is the last answer block behind the reasoning, an opened one that was cut off, or else all
    that follows the reasoning; the last block within the reasoning where nothing follows it.
    """
    text = _TAG.sub(lambda tag: f"<{tag[1]}{'think' if tag[2] else 'answer'}>", text)
    before, closed, tail = text.rpartition(_END_OF_THOUGHT)
    if not closed:
        before, tail = "", text
    said, opened, _ = tail.partition(_THINK)
    if block := _last_block(tail):
        return block
    if opened:  # reasoning that nothing closes
        return said.strip() or _last_block(before)
    rest = said.rpartition(OPENING)[2].replace(CLOSING, " ").strip()
    return rest or _last_block(before)


def lenient(text: str, record: Record) -> str:
    """Returns the answer that a reply gives in whatever form: a letter, a number, else its words.

    "" where none is found.
    """
    body = unboxed(answer_part(text))
    if record.kind == CHOICE and len(record.gold) > 1:  # yes or no, without options
        return yes_or_no(body, record.problem) or plain_words(body).split(" ")[0]
    if record.kind == CHOICE:
        return letter_in(body, record.options, record.problem)
    return body if record.kind == FREE else number_in(body, record.problem)


def _last_block(text: str) -> str:
    """Returns the last closed answer block that is not empty, "" where there is none."""
    end = text.rfind(CLOSING)
    while end >= 0:
        start = text.rfind(OPENING, 0, end)
        if start < 0:
            return ""
        if block := text[start + len(OPENING) : end].strip():
            return block
        end = text.rfind(CLOSING, 0, start)
    return ""
