"""How each benchmark's authors find the answer in a reply, as rules; a model judges nowhere.

Where they fall back to a language model (MMVU, TempCompass) or to chance (VideoMMMU), the lenient
reading stands in; `protocol_notes` says so beside the numbers.
"""

import re
from collections.abc import Callable

from vreason_jax.evaluation import numeric
from vreason_jax.evaluation.extraction import lenient, letter_in, plain_words
from vreason_jax.evaluation.readers import tempcompass, videommmu
from vreason_jax.evaluation.record import CHOICE, FREE, REGRESSION, Record
from vreason_jax.output.answer import extract_answer

_LEAD = re.compile(r"\b(?:the|best|correct|right|answer|option|choice|is)\b|:", re.IGNORECASE)


def answer(text: str, record: Record) -> str:
    """Returns what the rule of a record's benchmark takes for the answer, "" for nothing.

    Reasoning and tags, which no author's prompt asks for, are taken off before.
    """
    rule = _RULES.get(record.benchmark)
    if rule is None:
        return lenient(text, record)
    return rule(extract_answer(text) or text.rpartition("</think>")[2].strip(), record)


def credit(prediction: str, record: Record) -> float:
    """Returns the score of an answer: 0 or 1, or for a regression VSI-Bench's own accuracy."""
    if record.kind == CHOICE:
        return float(prediction == record.gold)
    if record.kind == REGRESSION:
        number, target = numeric.parse(prediction), numeric.parse(record.gold)
        return numeric.mra_official(number, target) if None not in (number, target) else 0.0  # type: ignore[arg-type]
    if record.kind == FREE:
        return float(_free_form_is_right(prediction, record))
    return float(
        any(
            numeric.equal_to_hundredths(prediction, gold)
            for gold in videommmu.gold_numbers(record.gold)
        )
    )


def _first_word(text: str, record: Record) -> str:
    """VSI-Bench: the first word without its full stop, compared without regard to case."""
    word = text.split(" ")[0].rstrip(".").strip()
    return word.upper() if record.kind == CHOICE else word


def _first_token_letter(text: str, record: Record) -> str:
    """MVBench: the letter of the first word, with or without brackets and full stop."""
    word = text.split(" ")[0].strip()
    match = re.fullmatch(r"\(?([A-Za-z])\)?[.:)]?", word)
    return match.group(1).upper() if match else ""


def _first_letter(text: str, record: Record) -> str:
    """Video-MME: the first capital of A to D behind words such as "the best answer is".

    A reply of more than ten words that holds none has no answer.
    """
    del record
    match = re.search("[ABCD]", _LEAD.sub("", text))
    return match.group() if match else ""


def _tempcompass(text: str, record: Record) -> str:
    if record.task == tempcompass.YES_NO:
        first = plain_words(text).split(" ")[0]
        spoken = {"yes": "A", "no": "B"}.get(first)
        return spoken or letter_in(text, record.options)
    if record.task == tempcompass.MATCHING:
        # "Option 2", "Sentence B": by their numbers, whatever they were called in the question.
        match = re.match(r"(?:Option|Caption|Sentence) (\w)\b", text)
        if match:
            return {"1": "A", "2": "B"}.get(match.group(1), match.group(1))
    return text if record.kind == FREE else letter_in(text, record.options)


def _free_form_is_right(prediction: str, record: Record) -> bool:
    if record.options:
        return _nearest_option(prediction, record.options) == record.gold
    gold, said = plain_words(record.gold), plain_words(prediction)
    if numeric.parse(gold) is not None:
        return any(numeric.equal_to_hundredths(n, gold) for n in numeric.numbers_in(said))
    # "Depth-First Search (DFS)" is also said as either of its two names.
    names = [gold, *map(plain_words, re.split(r"[()]", record.gold))]
    return any(name and f" {name} " in f" {said} " for name in names)


def _nearest_option(caption: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option that shares most of its own words with a caption.

    Words that all options hold tell nothing; where two share as many, none is nearest.
    """
    words = [set(re.findall(r"\w+", option[2:].lower())) for option in options]
    common = set.intersection(*words)
    said = set(re.findall(r"\w+", caption.lower()))
    shares = [len((own - common) & said) / max(len(own - common), 1) for own in words]
    best = max(shares)
    nearest = [o[0] for o, share in zip(options, shares, strict=True) if share == best]
    return nearest[0] if best > 0 and len(nearest) == 1 else ""


_RULES: dict[str, Callable[[str, Record], str]] = {
    "vsibench": _first_word,
    "mvbench": _first_token_letter,
    "videomme": _first_letter,
    "tempcompass": _tempcompass,
}
