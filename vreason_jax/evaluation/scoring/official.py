"""How each benchmark's authors find the answer in a reply, as rules; a model judges nowhere.

Where they fall back to a language model (MMVU, TempCompass) or to chance (VideoMMMU), the lenient
reading stands in; `protocol_notes` says so beside the numbers.
"""

import re
from collections.abc import Callable

from vreason_jax.evaluation.benchmarks import tempcompass, videommmu
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, REGRESSION, Record
from vreason_jax.evaluation.scoring import numeric
from vreason_jax.evaluation.scoring.choices import letter_in
from vreason_jax.evaluation.scoring.extraction import answer_part, lenient
from vreason_jax.evaluation.scoring.open_answers import says

# What Video-MME's code takes away before it looks for a letter, in its order.
_PHRASES = ("The best answer is", "The correct answer is", "The answer is", "The answer")


def answer(text: str, record: Record) -> str:
    """Returns what the rule of a record's benchmark takes for the answer, "" for nothing.

    Reasoning and tags, which no author's prompt asks for, are taken off before.
    """
    rule = _RULES.get(record.benchmark)
    if rule is None:
        return lenient(text, record)
    body = answer_part(text)
    return rule(body, record) if body else ""


def credit(prediction: str, record: Record) -> float:
    """Returns the score of an answer: 0 or 1, or for a regression VSI-Bench's own accuracy."""
    if record.kind == CHOICE:
        return float(prediction == record.gold)
    if record.kind == REGRESSION:
        number, target = _float(prediction), numeric.parse(record.gold)
        return 0.0 if number is None or target is None else numeric.mra_official(number, target)
    if record.kind == FREE:
        return float(_free_form_is_right(prediction, record))
    return float(is_number(prediction, record.gold))


def is_number(prediction: str, gold: str) -> bool:
    """Returns whether an answer is the gold number, or one of several, in two decimals."""
    return any(numeric.equal_to_hundredths(prediction, one) for one in videommmu.gold_numbers(gold))


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _first_word(text: str, record: Record) -> str:
    """VSI-Bench: the first word without its full stop, compared without regard to case."""
    word = text.split(" ")[0].rstrip(".").strip()
    return word.upper() if record.kind == CHOICE else word


def _first_line_letter(text: str, record: Record) -> str:
    """MVBench: the first word of the first line, where the prompt has opened a bracket for it.

    An option is meant if "(x)" holds that word without full stops, or if that word holds "(x)".
    """
    word = f"({text.splitlines()[0]}".lower().split(" ")[0]
    if word == "(":
        return ""
    marks = [(option[0], f"({option[0].lower()})") for option in record.options]
    meant = [letter for letter, mark in marks if word.replace(".", "") in mark or mark in word]
    return record.gold if record.gold in meant else next(iter(meant), "")


def _first_letter(text: str, record: Record) -> str:
    """Video-MME: the first capital of A to D once the phrases before an answer are gone."""
    del record
    for phrase in _PHRASES:
        text = text.replace(phrase, "")
    match = re.search("[ABCD]", text)
    return match.group() if match else ""


def _last_mark(text: str, record: Record) -> str:
    """VideoMMMU: letters with a full stop, or a colon, else in brackets, else before a space.

    The last such letter counts. In a reply of more than five words without one the option counts
    whose text stands last in it.
    """
    if record.kind != CHOICE or not record.options:
        return lenient(text, record)
    for sign in ",.!?;:'":
        text = text.strip(sign)
    text = f" {text} "
    letters = [option[0] for option in record.options]
    pointed = [x for x in letters if f"{x}." in text]
    marked = pointed + [x for x in letters if f"{x}:" in text]
    if marked:
        return _last(marked, text, "{}." if pointed else "{}:")
    for held, form in (("({})", "({})"), ("{} ", " {} ")):
        if found := [x for x in letters if held.format(x) in text]:
            return _last(found, text, form)
    if len(text.split()) <= 5:
        return ""
    words = {option[0]: option[2:].strip().lower() for option in record.options}
    held = [x for x in letters if words[x] in text.lower()]
    return max(held, key=lambda x: text.lower().rfind(words[x])) if held else ""


def _last(letters: list[str], text: str, form: str) -> str:
    return max(letters, key=lambda letter: text.rfind(form.format(letter)))


def _tempcompass(text: str, record: Record) -> str:
    if record.task == tempcompass.YES_NO:
        spoken = re.match("yes|no", text.lower())
        return {"yes": "A", "no": "B"}[spoken.group()] if spoken else lenient(text, record)
    if record.task == tempcompass.MATCHING:
        # "Option 2", "Sentence B": by their numbers, whatever they were called in the question.
        match = re.match(r"(?:(?:Option|Caption|Sentence) (\w)\b|([12])\.?$)", text)
        if match:
            name = match.group(1) or match.group(2)
            return {"1": "A", "2": "B"}.get(name, name)
    if record.kind == FREE:
        return text
    marked = re.match(r"([ABCD])[.)]", text)  # whatever follows
    return marked.group(1) if marked else letter_in(text, record.options)


def _free_form_is_right(prediction: str, record: Record) -> bool:
    if record.options:
        return _nearest_option(prediction, record.options) == record.gold
    return says(prediction, record.gold)


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
    "videommmu": _last_mark,
    "mvbench": _first_line_letter,
    "videomme": _first_letter,
    "tempcompass": _tempcompass,
}
