"""A row's options and the gold answer that belongs to them, however they are lettered.

Options come out as "A. a cup" with the letter that the annotation gave them, so that the gold
letter means what it meant there. Where the annotation gives numbers, or no marks at all, options
are lettered by their place and the gold answer follows them.
"""

import ast
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, whole
from vreason_jax.json_files import parse_json

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LAST_LABEL = "J"  # further ones come in order
LONGEST_LIST = 100_000  # characters of a list that is written as a text
# "A. a cup" stays as it is written: protocols show it letter by letter.
_PLAIN = re.compile(r"([A-Z])[.):]")
# "(A) a cup", "a. a cup", "3) a cup", "A" alone; 2.5 and 1:30 are no marks.
_MARK = re.compile(
    r"[(\[]?(?:option\s)?([A-Za-z]|[0-9]{1,2})"
    r"(?:[)\]][.:]?|[.:,\u3001](?![0-9]|[A-Za-z]\.)|$)\s*"
    r"|[(\[]([A-Za-z]|[0-9]{1,2})[)\]]\s*",
    re.IGNORECASE,
)
# A number by itself is what the option says, and so is the first item of "A, B, C".
_LISTED = re.compile(r"[0-9]+\W*$|(?:[A-Za-z]|[0-9]{1,2})(?:, *(?:[A-Za-z]|[0-9]{1,2}))+\W*$")
_SEVERAL = re.compile(r"(?:[A-Za-z]|[0-9]{1,2})(?:\s*[,.;/&]\s*(?:[A-Za-z]|[0-9]{1,2}))+\W*")
_COMMA = re.compile(r"(?:[A-Za-z]|[0-9]{1,2}),")
_GOLD = re.compile(
    r"(?:[Oo]ption\s+)?[(\[]?([A-Za-z]|[0-9]{1,2})[)\]]?(?:[.):,](?:\s.*)?)?", re.DOTALL
)


def choices(value: Any, gold: Any, key: str = "options") -> tuple[tuple[str, ...], str]:
    """Returns the options as "A. a cup" and the gold letter; raises BrokenRowError.

    Args:
      value: a list of texts, an object of texts by letter, or such a list written as a text.
      gold: "B", "(B)", "B.", "B. a cup", the number of an option where they are numbered, or the
        whole text of one, or its words.
      key: the name of the options in messages.
    """
    texts = texts_of(value, key)
    if len(texts) < 2:
        raise BrokenRowError(f"{key!r}: expected two or more, got {shown(value)}")
    if len(texts) > len(LETTERS):
        raise BrokenRowError(f"{key!r}: expected at most {len(LETTERS)}, got {len(texts)}")
    named = "" if _names_several(gold, texts) else _gold_name(gold)
    labels, bodies = _labels(texts, named, key)
    place = _place(named, labels)
    if place is None:
        place = _place(_folded(gold), [_folded(text) for text in texts])
    if place is None:  # its words without their mark, or in other capitals
        place = _place(_folded(gold).casefold(), [_folded(body).casefold() for body in bodies])
    if place is None:
        known = ", ".join(labels)
        raise BrokenRowError(f"unknown gold letter: expected one of {known}, got {shown(gold)}")
    letters = labels if labels[0].isalpha() else LETTERS[: len(labels)]
    return tuple(map(_written, letters, texts, bodies)), letters[place]


def by_place(texts: Sequence[str], key: str) -> tuple[str, ...]:
    """Returns options that are lettered by their place alone; raises BrokenRowError."""
    if len(texts) > len(LETTERS):
        raise BrokenRowError(f"{key!r}: expected at most {len(LETTERS)}, got {len(texts)}")
    return tuple(f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False))


def texts_of(value: Any, key: str) -> list[str]:
    """Returns options as a list of texts, [] for none; raises BrokenRowError."""
    if value is None:
        return []
    found = _parsed(value) if isinstance(value, str) else value
    if isinstance(found, dict) and all(isinstance(name, str) for name in found):
        # An object's own keys are the marks, unless the texts repeat them.
        found = [_under_its_key(name, text) for name, text in found.items()]
    if isinstance(found, list | tuple) and all(type(item) in (int, float) for item in found):
        found = [str(item) for item in found]
    found = list(found) if isinstance(found, tuple) else found
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise BrokenRowError(f"{key!r}: expected a list of texts, got {shown(value)}")
    return [whole(text, key) for text in found]


def _under_its_key(name: str, text: Any) -> Any:
    text = str(text) if type(text) in (int, float) else text
    mark = _mark(text) if isinstance(text, str) else None
    repeats = mark is not None and mark[0] == name.strip().upper()
    return f"{name}. {text}" if isinstance(text, str) and not repeats else text


def _parsed(value: str) -> Any:
    """Returns a list that is written as a text: as JSON, as Python writes it, or by lines."""
    text = value.strip()
    if text[:1] in ("[", "{", "(") and len(text) <= LONGEST_LIST:
        for parse in (parse_json, ast.literal_eval):
            try:
                return parse(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    lines = [line for line in text.splitlines() if line.strip()]
    return lines if len(lines) > 1 and all(map(_mark, lines)) else value


def _mark(text: str) -> tuple[str, str] | None:
    """Returns the mark that an option begins with, in upper case, and what follows it."""
    folded = _folded(text)
    match = _MARK.match(folded)
    if match is None or _LISTED.match(folded):
        return None
    return (match.group(1) or match.group(2)).upper(), folded[match.end() :]


def _folded(value: Any) -> str:
    """Returns a text or a whole number in one form; "" for anything else."""
    known = isinstance(value, str | int) and not isinstance(value, bool)
    return unicodedata.normalize("NFKC", str(value) if known else "").strip()


def _labels(texts: Sequence[str], gold: str, key: str) -> tuple[Sequence[str], list[str]]:
    """Returns what the annotation calls its options, by place where nothing does, and the rest."""
    marks = [_mark(text) for text in texts]
    if _are_words(texts, marks):
        marks = [None] * len(texts)
    names = [mark[0] if mark else "" for mark in marks]
    places = list(LETTERS[: len(texts)])
    bodies = [mark[1] if mark else text for mark, text in zip(marks, texts, strict=True)]
    numbered = [name.isdigit() for name in names]
    if all(numbered) and len(set(names)) == len(names):
        return names, bodies
    if all(names) and not any(numbered) and len(set(names)) == len(names):
        # "J. Smith", "K. Jones": initials, where neither the gold letter nor the places know them.
        if not _are_initials(names) and (gold in names or set(names) & set(places)):
            return names, bodies
    elif all(name in ("", place) for name, place in zip(names, places, strict=True)):
        return places, bodies  # some have their mark, or none has
    if not set(names) & {*places, gold} or _are_initials(names):
        return places, list(texts)
    raise BrokenRowError(
        f"{key!r}: expected a letter of its own for each option or for none, "
        f"got {shown(list(texts))}"
    )


def _are_words(texts: Sequence[str], marks: Sequence[tuple[str, str] | None]) -> bool:
    """Whether what looks like marks belongs to what the options say.

    Letters alone beside words ("A", "AB"), and letters before a comma that are no list of marks
    ("B, then A").
    """
    bare = [mark is not None and not mark[1] for mark in marks]
    if any(bare) and not all(bare):
        return any(mark is None for mark in marks)
    if not any(_COMMA.match(_folded(text)) for text in texts):
        return False
    known = [mark for mark in marks if mark]
    names = "".join(name for name, _ in known)
    listed = len(known) == len(texts) and sorted(set(names)) == list(names)
    return not listed or any(re.search(rf"\b[{names}]\b", body) for _, body in known)


def _are_initials(names: Sequence[str]) -> bool:
    """Whether letters are those of names: "B. subtilis", "S. aureus", "E. coli"."""
    return all(names) and max(names) > _LAST_LABEL and list(names) != sorted(names)


def _names_several(gold: Any, texts: Sequence[str]) -> bool:
    """Whether a gold answer lists options: "A, B"."""
    folded = _folded(gold)
    return bool(_SEVERAL.fullmatch(folded)) and folded not in map(_folded, texts)


def _gold_name(gold: Any) -> str:
    match = _GOLD.fullmatch(_folded(gold))
    return match.group(1).upper() if match else ""


def _place(gold: str, labels: Sequence[str]) -> int | None:
    """Returns the place of what a label names; a number alone never counts letters."""
    if gold.isdigit():
        labels = [str(int(label)) if label.isdigit() else label for label in labels]
        gold = str(int(gold))
    elif len(gold) == 1 and any(_counts(labels, first) for first in (0, 1)):
        labels = LETTERS[: len(labels)]
    return labels.index(gold) if gold and labels.count(gold) == 1 else None


def _counts(labels: Sequence[str], first: int) -> bool:
    return list(labels) == [str(number) for number in range(first, first + len(labels))]


def _written(letter: str, text: str, body: str) -> str:
    match = _PLAIN.match(text)
    return text if match and match.group(1) == letter else f"{letter}. {body}"
