"""Which number of a text is its answer."""

import math
import re

from vreason_jax.evaluation.scoring.folding import CONCLUDING, fold
from vreason_jax.evaluation.scoring.numbers import Found, digits_for_words, find_numbers, plain
from vreason_jax.evaluation.scoring.units import asked_unit, in_unit, measures

# A citation's number, "(the other root, -5, is rejected)", "between 3 and 5, probably" of 4
_ASIDE = re.compile(
    r"(?<=\S) \[[0-9]{1,2}\]|\([^()]{1,99}\b(?:rejected|discarded)\b[^()]{0,99}\)|"
    r"\bbetween [0-9.]+[^,;0-9]{0,12} and [0-9.]+[^,;0-9]{0,30}[,;](?=[^0-9]{1,40}[0-9.]+[^0-9]*$)"
)
_NONE = re.compile(
    r"\W*(?:there (?:are|were|is|was) (?:no|none|not any)\b|"
    r"(?:no|none of the) (?:\w+ ){1,3}(?:is|are|was|were) (?:visible|seen|shown|present|there)\b)"
)
_ONE = re.compile(r"\ba single\b|\bonce\b(?= *(?:$|[.,;!)]|(?:in|at|during)\b))")
_IN_TURN = (  # Spanish, French and German from two, the eleven of Spain being English "once"
    "twice|dos|deux|zwei thrice|tres|trois|drei cuatro|quatre|vier cinco|cinq|funf seis|sechs "
    "siete|sept|sieben ocho|huit|acht nueve|neuf|neun diez|dix|zehn onze|elf doce|douze|zwolf "
    "trece|treize|dreizehn catorce|quatorze|vierzehn quince|quinze|funfzehn dieciseis|sechzehn "
    "diecisiete|dix-sept|siebzehn dieciocho|dix-huit|achtzehn diecinueve|dix-neuf|neunzehn "
    "veinte|vingt|zwanzig"
)
_SPELLED = {w: str(n) for n, ws in enumerate(_IN_TURN.split(" "), 2) for w in ws.split("|")}
_LETTERS = re.compile("[a-z]+(?:-(?:sept|huit|neuf))?")
_PI = re.compile(r"(?<![\w.])([0-9]++(?:\.[0-9]++)?) ?(?:[x*] ?)?(?:pi\b|\u03c0)(?! ?[a-z(^=])")
# What a number is said behind, the surest first; where several are, the last one counts.
_LEADS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:answer|result|estimate|(?<!let's )(?<!let us )(?<!let me )count(?= is|:| =))\b"
        r"(?! the\b)"
        r"(?: (?:is|would be|must be|should be|=))?"
        r"(?! (?:is )?(?:between|either))|\u7b54\u6848|"
        r"\b(?:(?:actually|wait|correction|sorry|no),|or rather\b)",
        rf"\b(?:(?:{CONCLUDING})(?! after\b)|"
        r"which is(?! (?:about|around|roughly|approximately))|altogether|equals|"
        r"total(?: of| is)?|totall?ing|(?:difference|sum|product) is|donc|insgesamt|"
        r"makes?|gives|giving|leaves|leaving|actually|i would say|"
        r"i'd (?:say|guess))\b|[\u2192\u21d2]",
        r"[=\u2248]|\u5171|\bbut (?:it is|it's|there (?:are|is))\b|, there (?:are|is)\b|\bbut\b|"
        r"[0-9] [^0-9]{1,40}[0-9] [^0-9]{1,40}(?:\bi\.e\.|: (?=[0-9.]+\W*$))|"
        r"[0-9] ?(?:[*x/+-]|times|plus|minus|and|by) ?[0-9.]+ (?:more )?"
        r"(?:[a-z]+(?:\^[23])? )?is\b",  # 3 m * 4 m is
    )
)
_WORKED_OUT = re.compile(r"(?<=[0-9a-z]) ?= ?[0-9.]+ ?(?:[*x/+-]|times) ?[0-9.]+\W*$")  # 12 = 3 * 4
# 3 m * 4 m =, 3 (left) + 2 (right) =: what stands behind it is the value
_WORKING = re.compile(
    r"(?<![0-9.])[0-9.]+(?: ?[a-z]+(?:\^[23])?| ?\([^()]{1,20}\))?"
    r"(?: ?(?:[*x/+-]|times|plus|minus) ?[0-9.]+(?: ?[a-z]+(?:\^[23])?| ?\([^()]{1,20}\))?){1,9}"
    r" ?[=\u2248] ?(?=-?[0-9.])"
)
_IN_ALL = re.compile(r"^[ a-z]{0,20} (?:in all|in total|altogether|overall)\b")
# Numbers that name something, tell when, or are refused, where others stand beside them.
_NAMED = re.compile(
    r"\b(?:frames?|rooms?|figures?|fig\.|steps?|images?|questions?|options?|lines?|tables? no\.?|"
    r"parts?|pages?|scenes?|chapters?|number|no\.)(?: no\.?)? #?"
    r"(?:[0-9.]+ (?:to|and|through|-) )?$|#$|"
    r"\b(?:between|among|of|from|in|with|for) (?:the|these|those|all|both) $|\bas of $"
)
_WHEN = re.compile(
    r"\b(?:at|after|around second|until|from|lasts?|during|course of) (?:about |around |the )*$"
)
_CLOCK = re.compile(r"^ ?(?:s|sec|seconds?|minutes?|min)\b")
_SHOWN = re.compile(
    r"^(?:[- ](?:video|sampled|given))? ?frames?\b|"
    r"^[- ]?(?:s|sec|seconds?|min|minutes?)[- ](?:long )?(?:video|clip)\b"
)
_REFUSED = re.compile(
    r"(?:\bnot|n't|\bthought|\bsaid|\bguessed|\bassumed|\brather than|\binstead of|\bmissed)"
    r"(?: (?:be|it|is|was|just|a|the|to))*[ :]*$"
)
# What an estimate starts from: "Since a door is 2 m high, ..."
_GIVEN = re.compile(
    r"^(?:assuming|given|with|since|as|if|because|knowing|considering|using|based on)\b[^,;]*,"
)
_UNABLE = re.compile(
    r"\b(?:cannot|can not|can't|could not|couldn't|unable|impossible|not enough|unclear|unknown)\b"
)


def number_in(text: str, question: str = "") -> str:
    """Returns the number that a text gives as its answer, in digits; "" for none.

    It is the first one behind words such as "the answer is", else one "in all", else the last of
    those counted one by one, else the first; in the unit that the question asks for.
    """
    folded = _WORKED_OUT.sub("", _ASIDE.sub("", fold(text).lower()))
    folded = _PI.sub(lambda match: plain(float(match[1]) * math.pi), folded)
    kind, factor = asked_unit(question)
    folded = in_unit(digits_for_words(_WORKING.sub("= ", folded)), kind, factor)
    found, kinds = find_numbers(folded), measures(folded)
    given = _GIVEN.match(folded)
    begin = given.end() if given else 0
    told = [n for n in found if n[1][0] >= begin and not _beside_the_point(folded, n)]
    if "how many" in question.lower() and not kind:
        told = [n for n in told if kinds.get(n[1][0]) not in ("s", "m", "share")] or told
    if not told and _UNABLE.search(folded):
        return ""
    found = told or found
    surest, *others = _LEADS
    said = _behind(surest, folded, found) or _in_all(folded, found)
    for lead in others if not said else ():
        said = said or _behind(lead, folded, found)
    if said or not found:
        return said or _unwritten(folded)
    found = [n for n in found if kind and kinds.get(n[1][0]) == kind] or found
    return found[_counted(found) - 1][0]


def _unwritten(text: str) -> str:
    """Returns the number of a text without digits or their words."""
    if _NONE.match(text):
        return "0"
    spelled = (_SPELLED[word] for word in _LETTERS.findall(text) if word in _SPELLED)
    return "1" if _ONE.search(text) else next(spelled, "")


def _behind(lead: re.Pattern[str], text: str, found: list[Found]) -> str:
    """Returns the first number behind the last of some words, "" where there is none."""
    ends = [match.end() for match in lead.finditer(text)]
    behind = [number for number in found if ends and number[1][0] >= ends[-1]]
    return behind[_counted(behind) - 1][0] if behind else ""


def _in_all(text: str, found: list[Found]) -> str:
    return next((n for n, (_, end) in found if _IN_ALL.match(text[end : end + 40])), "")


def _beside_the_point(text: str, number: Found) -> bool:
    start, end = number[1]
    before, after = text[max(0, start - 40) : start], text[end : end + 10]
    return bool(
        _NAMED.search(before)
        or _REFUSED.search(before)
        or _SHOWN.match(text[end : end + 20])
        or re.match("-[a-z]", after)  # "4-person"
        or (_WHEN.search(before) and _CLOCK.match(after))
    )


def _counted(found: list[Found]) -> int:
    """Returns how many numbers in front count 1, 2, 3, ...; 1 where they do not."""
    count = 0
    while count < len(found) and found[count][0] == str(count + 1):
        count += 1
    return count if count > 2 else 1
