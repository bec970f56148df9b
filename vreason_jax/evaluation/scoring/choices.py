"""The option that a reply means: by its letter, its words, its number or its place."""

import re

from vreason_jax.evaluation.scoring.folding import fold, plain_words
from vreason_jax.evaluation.scoring.letters import (
    ANSWER,
    IS,
    letter_named,
    lone_letter,
    only_letter,
)
from vreason_jax.evaluation.scoring.number_answer import number_in
from vreason_jax.evaluation.scoring.numbers import digits_for_words
from vreason_jax.evaluation.scoring.yes_no import yes_or_no

_UNTOLD = "ABCDEFGHIJ"  # where the letters stand in the picture alone
_LED = re.compile(rf"{ANSWER}{IS}(?: that)?(?P<rest>[^.;\n]{{1,300}})")
_CHATTER = re.compile(r"(?i)\b(?:that's|that is|you're) right\b|\b(?:all right|alright)\b")
_ARTICLE = re.compile(r"^(?:the|an?) ")
# Words that tell no option from another.
_LITTLE = set(
    re.findall(
        r"\w+", "a an the it is are was he she they his her its their of to and i this that one 1"
    )
)
_ORDER = frozenset(("then", "first", "next", "finally", "lastly", "after", "followed", "by"))
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")
_PLACE = re.compile(
    rf"\b(?:(?P<word>{'|'.join(_PLACES)}|last) (?:option|choice|one|answer)|"
    r"(?:option|choice) (?P<number>[1-9]))\b"
)


def letter_in(body: str, options: tuple[str, ...]) -> str:
    """Returns the letter of `options` that a text names: "B", "(B)", "B. a cup", "a cup", ..."""
    letters = "".join(option[0] for option in options) or _UNTOLD
    text = _without_list(_CHATTER.sub(" ", fold(body)), options)
    if sure := lone_letter(text, letters) or _letter_of_equal_words(text, options):
        return sure
    spoken = {plain_words(option[2:]): option[0] for option in options}
    if set(spoken) == {"yes", "no"} and (said := yes_or_no(text)):
        return spoken[said]
    leads = [match.group("rest") for match in _LED.finditer(text)]
    for rest in reversed(leads):  # "The answer is a red hat": the words of an option
        if equal := _letter_of_equal_words(rest, options):
            return equal
    if named := letter_named(text, letters) or _letter_of_line(body, letters):
        return named
    led = leads[-1] if leads else ""
    return (
        _letter_of_words(led, options)
        or _letter_of_part(led, options)
        or _letter_of_words(text, options)
        or _letter_of_number(text, options)
        or only_letter(text, letters)
        or _letter_of_part(text, options)
        or _letter_of_order(text, options)
        or _letter_of_place(text, letters)
    )


def _letter_of_line(body: str, letters: str) -> str:
    """Returns the one letter that has a line to itself, as before an explanation."""
    lines = (fold(line) for line in body.splitlines() if line.strip())
    named = {lone_letter(line, letters) for line in lines} - {""}
    return named.pop() if len(named) == 1 else ""


def option_in(block: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option whose words an answer is; the answer itself without one."""
    said = plain_words(block)
    return next((o[0] for o in options if said and plain_words(o[2:]) == said), block)


def _without_list(text: str, options: tuple[str, ...]) -> str:
    """Returns a text without the options, where it repeats all of them before it answers."""
    place = 0
    for option in map(fold, options):
        found = text.find(option, place)
        if found < 0:
            return text
        place = found + len(option)
    return text[place:].strip(" .") or text


def _letter_of_words(text: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option that a text is, or else of the only one in it."""
    said = _bare(text)
    held = [(letter, words) for letter, words in _texts(options) if _holds(said, words)]
    held = [(letter, words) for letter, words in held if not _denied(said, words)]
    # "the front left" also holds "left": what lies within another option does not count.
    longest = [
        letter
        for letter, words in held
        if not any(words != w and _holds(w, words) for _, w in held)
    ]
    return longest[0] if len(longest) == 1 else ""


def _letter_of_equal_words(text: str, options: tuple[str, ...]) -> str:
    said = _bare(text)
    for letter, words in _texts(options):
        if said in (words, f"{letter.lower()} {words}"):
            return letter
    return ""


def _letter_of_part(text: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the only option that has all of a text's words: "closes the door"."""
    said = set(_bare(text).split()) - _LITTLE
    held = [letter for letter, words in _texts(options) if said and said <= set(words.split())]
    return held[0] if len(held) == 1 else ""


def _letter_of_number(text: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option with the number of a text: "1.5m" of "B. 1.5 m"."""
    values = [number_in(option[2:]) if len(option) < 16 else "" for option in options]
    if not all(values) or len(set(values)) < len(values):
        return ""
    said = number_in(text)
    return next((o[0] for o, v in zip(options, values, strict=True) if v == said), "")


def _letter_of_order(text: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the only option whose words stand in a text in their order."""

    said = _core(_bare(text))
    held = [letter for letter, words in _texts(options) if _holds(said, _core(words) or "-")]
    return held[0] if len(held) == 1 else ""


def _core(words: str) -> str:
    """Returns plain words without those that tell no option from another."""
    kept = (word for word in re.sub("'s\\b", "", words.replace("n't", " not")).split())
    return " ".join(word for word in kept if word not in _LITTLE | _ORDER)


def _letter_of_place(text: str, letters: str) -> str:
    """Returns the letter of "the second option", "option 2" or "the last one"."""
    found = _PLACE.findall(text.lower())
    if not found:
        return ""
    word, number = found[-1]
    place = int(number) - 1 if number else -1 if word == "last" else _PLACES.index(word)
    return letters[place] if place < len(letters) else ""


def _texts(options: tuple[str, ...]) -> list[tuple[str, str]]:
    """Returns the letters and plain words of the options that have words."""
    texts = [(option[0], _bare(option[2:])) for option in options]
    return [(letter, words) for letter, words in texts if words]


def _bare(text: str) -> str:
    """Returns plain words, numbers in digits, without the article before them."""
    return _ARTICLE.sub("", plain_words(digits_for_words(fold(text).lower())))


def _holds(text: str, words: str) -> bool:
    return f" {words} " in f" {text} "


def _denied(text: str, words: str) -> bool:
    articles = ("", "a ", "an ", "the ")
    return any(
        _holds(text, f"{no} {article}{words}")
        for no in ("not", "neither", "nor")
        for article in articles
    )
