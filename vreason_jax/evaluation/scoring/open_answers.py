"""Open answers: whether a reply says the gold answer, however it is spelled."""

import re
import unicodedata

from vreason_jax.evaluation.scoring.folding import SPELLINGS, fold, respelled, unboxed
from vreason_jax.evaluation.scoring.numbers import ORDINALS, digits_for_words

_PART = re.compile(r"(?:(?<!\w)-)?[0-9]+(?:\.[0-9]+)?|[^\W\d_]+")
_WORD = re.compile(rf"(?:{_PART.pattern})+")  # CO2 is one, and not CO
_ALSO = re.compile(r"^(.+?) +\((.+)\)$")  # "Depth-First Search (DFS)"
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_ROMAN = {"II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9"}
_ROMAN_WORD = re.compile(rf"\b(?:{'|'.join(_ROMAN)})\b")
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
_ORDINAL = {word: f"{n}{_ENDINGS.get(n, 'th')}" for n, word in enumerate(ORDINALS, 1)}
_SPELLINGS = (
    (re.compile(r"%"), " percent "),
    (re.compile(r"&"), " and "),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'(?:s\b|(?!\w))"), ""),
    (
        re.compile(rf"(?<!\bper )\b(?:{'|'.join(_ORDINAL)})\b"),
        lambda match: _ORDINAL[match.group()],
    ),
    (re.compile(r"(?<=\b(?:on|in|at|of|to|by) )(?:the|an?) (?=[a-z]{2})"), ""),
    *SPELLINGS,
)
_EITHER = re.compile(
    r"(?:\beither|(?:\bnot|n't|\bcannot) (?:say|tell|clear|know|mention|specify|see) whether|"
    r"\bun(?:clear|known|certain) whether)\b.{1,100}\bor\b",
    re.IGNORECASE | re.DOTALL,
)
# "Cello? No, ...", "unlike a cello", "one might think a cello, but": what an answer is told from
_CONTRAST = re.compile(
    r"[^.!?\n]{1,100}\? *(?=no\b)|"
    r"\b(?:unlike|rather than|instead of|(?:as )?opposed to|opposite of)\b[^.,;:\n]{1,100}|"
    r"\b(?:might|may|could) (?:think|guess|assume|believe)\b[^.!?\n]{1,100}\bbut\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\[[^\[\]\n]{1,200}\]")  # [1,2,3]
_JOINED = re.compile(r"((?:the |an? |O\()?)(\w+)( and | ?[&+] ?)(\w+)(\)?)", re.IGNORECASE)
# An expression, which is none of another: 2x of 2x + 1.
_FORMULA = re.compile(
    r"O\(|(?!.*(?!sin|cos|tan|log|exp)[A-Za-z]{3}).*(?<![A-Za-z])[xyz](?![A-Za-z])"
)
_GOES_ON = (
    r"0|(?:\.0*)?[1-9]|[-+/^]?(?:sin|cos|tan|exp|log|ln|\u221a)|[-+/^](?:[0-9]|[a-z](?![a-z]))"
)
_DENIAL = {"not", "no", "never", "non", "without"}
_ARTICLES = {"a", "an", "the"}
_PLURAL_IN_A = re.compile("(?<=ri)(?:on|um)$")  # bacteria, mitochondria, criteria


def says(reply: str, gold: str) -> bool:
    """Returns whether a reply holds the gold answer's words in order, and does not deny them.

    Accents, hyphens, plurals, ordinals, British spelling and the form of numbers aside; a name in
    brackets stands for the whole.
    """
    if _EITHER.search(reply) and not _EITHER.search(gold):
        return False
    said = _words(_CONTRAST.sub(" ", unboxed(reply)))
    also, pair = _ALSO.match(gold.strip()), _JOINED.fullmatch(gold.strip())
    names = [gold, *(also.groups() if also else ())]
    if pair:  # "white and black" of "black and white"
        names.append("".join(pair.group(1, 4, 3, 2, 5)))
    if _FORMULA.match(fold(gold)):
        return any(_holds_formula(reply, name) for name in names)
    return any(_holds(said, words) for name in names if (words := _without_article(_words(name))))


def _without_article(words: list[str]) -> list[str]:
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def _holds_formula(reply: str, formula: str) -> bool:
    """Returns whether a formula stands in a text and in no longer one."""
    bare = (re.sub(r"[\s()*]", "", fold(unboxed(text)).lower()) for text in (reply, formula))
    said, own = map(digits_for_words, bare)
    whole = rf"(?<![-+/^0-9])(?<!\b[a-z]){re.escape(own)}(?!{_GOES_ON})"
    return bool(re.search(whole, said))


def _holds(said: list[str], words: list[str]) -> bool:
    """Returns whether words stand in a text, also joined or apart: "non linear", "nonlinear"."""
    whole = "".join(words)
    for start in range(len(said)):
        for stop in range(start + 1, min(start + len(words) + 2, len(said)) + 1):
            if "".join(said[start:stop]) == whole and not _denied(said[:start]):
                return True
    return False


def _denied(before: list[str]) -> bool:
    while before and before[-1] in _ARTICLES:
        before = before[:-1]
    return bool(before) and before[-1] in _DENIAL


def _words(text: str) -> list[str]:
    """Returns the words of a text in one spelling, its numbers in digits."""
    folded = _LISTED.sub(lambda match: match.group().replace(",", ", "), fold(unboxed(text)))
    folded = _INITIALS.sub(lambda match: match.group().replace(".", ""), folded)
    folded = _ROMAN_WORD.sub(lambda match: _ROMAN[match.group()], folded)
    spelled = respelled(digits_for_words("".join(map(_greek, folded)).lower()), _SPELLINGS)
    return [
        "".join(_written(part) for part in _PART.findall(word)) for word in _WORD.findall(spelled)
    ]


def _written(part: str) -> str:
    return f"{float(part):.2f}" if part[-1].isdigit() else _singular(part)


def _greek(sign: str) -> str:
    name = unicodedata.name(sign, "")
    return f" {name.rsplit(' ', 1)[-1].lower()} " if name.startswith("GREEK") else sign


def _singular(word: str) -> str:
    word = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
    return _PLURAL_IN_A.sub("a", word)
