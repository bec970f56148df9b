"""From a reply to what counts as its answer: strictly, and as a person would read it."""

import re

from vreason_jax.evaluation.numeric import numbers_in
from vreason_jax.evaluation.record import CHOICE, FREE, Record
from vreason_jax.output.answer import extract_answer

_UNTOLD = "ABCDEFGHIJ"  # where the letters stand in the picture alone
_SAID = r"(?:answer|option|choice)(?:\s+(?:is|would be|must be))?\s*[:=]?\s*"


def extract(text: str) -> str:
    """Returns the first answer block, or the whole text where there is none or an empty one.

    As Video-R1's extract_answer and what its reward_fn does with it.
    """
    return extract_answer(text) or text.strip()


def lenient(text: str, record: Record) -> str:
    """Returns the answer that a reply gives in whatever form: a letter, a number, else its words.

    "" where none is found. Takes the first answer block, else what follows the reasoning.
    """
    block = extract_answer(text)
    body = block or text.rpartition("</think>")[2].strip()
    if record.kind == CHOICE and len(record.gold) > 1:  # yes or no, without options
        return plain_words(body).split(" ")[0]
    if record.kind == CHOICE:
        return letter_in(body, record.options)
    if record.kind == FREE:
        return body
    return _number_in(body, bool(block))


def letter_in(body: str, options: tuple[str, ...]) -> str:
    """Returns the letter of `options` that a text names: "B", "(B)", "B. a cup", "a cup", ..."""
    letters = "".join(option[0] for option in options) or _UNTOLD
    body = _plain(body)
    alone = re.fullmatch(rf"\(?([{letters}])\)?\s*[.:)]?", body, re.IGNORECASE)
    opening = re.match(rf"(?:\(([{letters}])\)|([{letters}])(?:[.:)]|\s*[-\u2013]\s))(?!\w)", body)
    for match in (alone, opening):
        if match:
            return next(group for group in match.groups() if group).upper()
    said = re.findall(rf"(?i:{_SAID})\(?([{letters}])(?![\w'])", body)
    if said:
        return said[-1]
    return _letter_of_words(body, options) or _only_letter(body, letters)


def option_in(block: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option whose words an answer is; the answer itself without one."""
    return _letter_of_equal_words(plain_words(block), options) or block


def plain_words(text: str) -> str:
    """Returns a text in lower case, its words parted by single spaces, signs at their ends gone."""
    words = (word.strip(".,;:!?\"'()[]*`") for word in text.lower().split())
    return " ".join(word for word in words if word)


def _plain(body: str) -> str:
    return re.sub(r"\*\*|`|\\boxed\{([^}]*)\}|\$", r"\1", body).strip()


def _letter_of_words(body: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option that a text is, or else of the only one in it."""
    said = plain_words(body)
    if equal := _letter_of_equal_words(said, options) or _letter_of_equal_words(said[2:], options):
        return equal
    held = [(letter, words) for letter, words in _texts(options) if _holds(said, words)]
    # "the front left" also holds "left": what lies within another option does not count.
    longest = [
        letter
        for letter, words in held
        if not any(words != w and _holds(w, words) for _, w in held)
    ]
    return longest[0] if len(longest) == 1 else ""


def _letter_of_equal_words(said: str, options: tuple[str, ...]) -> str:
    return next((letter for letter, words in _texts(options) if words == said), "")


def _texts(options: tuple[str, ...]) -> list[tuple[str, str]]:
    """Returns the letters and plain words of the options that have words."""
    texts = [(option[0], plain_words(option[2:])) for option in options]
    return [(letter, words) for letter, words in texts if words]


def _holds(text: str, words: str) -> bool:
    return f" {words} " in f" {text} "


def _only_letter(body: str, letters: str) -> str:
    """Returns the one letter that stands by itself; A and I are words too where words follow."""
    named = {
        match.group(1)
        for match in re.finditer(rf"(?<![\w'])([{letters}])(?![\w'])", body)
        if match.group() not in "AI"
        or re.match(r"\s*(?:$|[.,;:)/]|or\b|and\b)", body[match.end() :])
    }
    return named.pop() if len(named) == 1 else ""


def _number_in(body: str, in_tags: bool) -> str:
    said = re.search(rf"(?i:{_SAID})(.*)", body, re.DOTALL)
    for part, index in ((said.group(1) if said else "", 0), (body, 0 if in_tags else -1)):
        found = numbers_in(part)
        if found:
            return found[index]
    return ""
