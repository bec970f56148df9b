"""Which number of a text is its answer."""

import re

from vreason_jax.evaluation.scoring.folding import fold
from vreason_jax.evaluation.scoring.numbers import Found, find_numbers

_CITATION = re.compile(r"(?<=\S) \[[0-9]{1,2}\]")
_NONE = re.compile(r"\W*there (?:are|were) (?:no|none|not any)\b")
_TIMES = {"once": "1", "twice": "2", "thrice": "3"}
# What a number is said behind, the surest first; where several are, the last one counts.
_LEADS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:answer|result|estimate)\b(?: (?:is|would be|must be|should be|=))?|\u7b54\u6848|"
        r"\b(?:(?:actually|wait|correction|sorry|no),|or rather\b)",
        r"\b(?:so|therefore|thus|hence|which is|altogether|equals|total(?: of| is)?|makes|gives|"
        r"giving|actually|i would say|i'd (?:say|guess))\b",
        r"[=\u2248]|\u5171|\bbut(?: it is| it's)\b|"
        r"[0-9] ?(?:[*x/+-]|times|plus|minus|and|by) ?[0-9.]+ (?:more )?"
        r"(?:[a-z]+(?:\^[23])? )?is\b",  # 3 m * 4 m is
    )
)
_WORKED_OUT = re.compile(r"(?<=[0-9a-z]) ?= ?[0-9.]+ ?(?:[*x/+-]|times) ?[0-9.]+\W*$")  # 12 = 3 * 4
_IN_ALL = re.compile(r"^[ a-z]{0,20} (?:in all|in total|altogether)\b")
# Numbers that name something, tell when, or are refused, where others stand beside them.
_NAMED = re.compile(
    r"\b(?:frames?|rooms?|figures?|fig\.|steps?|images?|questions?|options?|lines?|tables? no\.?|"
    r"parts?|pages?|scenes?|chapters?|number|no\.)(?: no\.?)? #?$|#$|[0-9]:$|"
    r"\b(?:between|among|of|from|in|with|for) (?:the|these|those|all|both) $"
)
_WHEN = re.compile(r"\b(?:at|after|around second|until|from) (?:about |around )?$")
_CLOCK = re.compile(r"^:[0-9]{2}|^ ?(?:s|sec|seconds?|minutes?|min)\b")
_REFUSED = re.compile(
    r"(?:\bnot|n't|\bthought|\bsaid|\bguessed|\bassumed|\brather than|\binstead of)"
    r"(?: (?:be|it|is|was|just|a|the|to))*[ :]*$"
)


def number_in(text: str) -> str:
    """Returns the number that a text gives as its answer, in digits; "" for none.

    It is the first one behind words such as "the answer is", else one "in all", else the last of
    those counted one by one, else the first.
    """
    folded = _WORKED_OUT.sub("", _CITATION.sub("", fold(text).lower()))
    found = find_numbers(folded)
    found = [number for number in found if not _beside_the_point(folded, number)] or found
    surest, *others = _LEADS
    said = _behind(surest, folded, found) or _in_all(folded, found)
    for lead in others if not said else ():
        said = said or _behind(lead, folded, found)
    if said:
        return said
    if not found:
        return "0" if _NONE.match(folded) else _TIMES.get(folded.strip(" ."), "")
    return found[_counted(found) - 1][0]


def _behind(lead: re.Pattern[str], text: str, found: list[Found]) -> str:
    """Returns the first number behind the last of some words, "" where there is none."""
    ends = [match.end() for match in lead.finditer(text)]
    return next((n for n, (start, _) in found if ends and start >= ends[-1]), "")


def _in_all(text: str, found: list[Found]) -> str:
    return next((n for n, (_, end) in found if _IN_ALL.match(text[end : end + 40])), "")


def _beside_the_point(text: str, number: Found) -> bool:
    start, end = number[1]
    before, after = text[max(0, start - 40) : start], text[end : end + 10]
    return bool(
        _NAMED.search(before)
        or _REFUSED.search(before)
        or re.match(":[0-9]{2}|-[a-z]", after)  # a clock's, or "4-person"
        or (_WHEN.search(before) and _CLOCK.match(after))
    )


def _counted(found: list[Found]) -> int:
    """Returns how many numbers in front count 1, 2, 3, ...; 1 where they do not."""
    count = 0
    while count < len(found) and found[count][0] == str(count + 1):
        count += 1
    return count if count > 2 else 1
