"""Yes or no, in the words that people say it with."""

import re

from vreason_jax.evaluation.scoring.folding import fold

_YES = (
    r"yes|yeah|yep|yup|sure|of course|certainly|absolutely|definitely|indeed|exactly|true|correct|"
    r"not (?:no|false|incorrect|wrong)"
)
_NO = (
    r"no|nope|nah|never|false|incorrect|wrong|untrue|not (?:really|at all|yes|true|correct)|"
    r"(?:of course|certainly|absolutely|definitely|surely|indeed|most likely|probably) not"
)
_ZH_YES, _ZH_NO = "\u662f|\u5bf9|\u6709|\u4f1a", "\u4e0d|\u6ca1|\u5426|\u9519"
_SAID = rf"(?:(?P<no>\b(?:{_NO})\b|{_ZH_NO})|(?P<yes>\b(?:{_YES})\b|{_ZH_YES}))"
# What holds the words without saying them.
_UNSAID = re.compile(
    r"\b(?:yes|true)(?: or |/)(?:no|false)\b|\bno(?: doubt| question| one| longer| other| more)\b|"
    r"\bnot no\b(?= but)"
)
_UNSURE = re.compile(
    r"(?:\b(?:(?:not|cannot)|\w+n't) (?:\w+ )?(?:know|tell|see|sure|clear|certain|determine|say|"
    r"enough|possible to)|\b(?:unclear|uncertain|unsure|unknown))\b"
)
_ANSWER = re.compile(
    r"(?:\b(?:answer|ans|conclusion)\b|\u7b54\u6848)(?: is|:|=|\u662f|\u4e3a)*[\s\"'(]*(?:that )?"
    + _SAID
)
_FIRST = re.compile(
    r"^[\s\"'(\[]*(?:(?:well|so|i (?:think|believe|(?:would|'d) say|guess)),? )*"
    r"(?:(?:that|it|this|the (?:statement|claim|description|caption|sentence))(?:'s| is)? )?"
    + _SAID
)
# "no... wait, yes", "yes? no"
_SECOND = re.compile(
    r"[,;.]? *(?:\?|\.\.|\bwait\b|\bactually\b|\brather\b|\bbut\b)[^a-z]*"
    r"(?:(?:wait|no wait|actually|rather),? )*" + _SAID
)
_NEGATED = re.compile(r"\b(?:not|never|cannot|neither|fails? to)\b|n't\b")
_AFFIRMED = re.compile(
    r"^(?:it|that|this|they|he|she|there|the \w+) (?:is|are|does|do|did|was|were|has|can)"
    r"(?: indeed)?(?: true| correct| right)?[.! ]*$"
)
_ANYWHERE = re.compile(r"(?P<yes>\byes\b)|(?P<no>\bno\b)")
_SENTENCE = 120  # characters; a longer text without yes or no says more than one thing


def yes_or_no(body: str) -> str:
    """Returns "yes" or "no" as a text says it for its answer, first, or by what it denies.

    "" for neither.
    """
    text = _UNSAID.sub(" ", fold(body).lower()).strip()
    if told := list(_ANSWER.finditer(text)):
        return _side(told[-1])
    if first := _FIRST.match(text):
        return _side(_SECOND.match(text, first.end()) or first)
    if _UNSURE.search(text):
        return ""
    if said := _ANYWHERE.search(text):
        return _side(said)
    if len(text) > _SENTENCE:
        return ""
    return "no" if _NEGATED.search(text) else "yes" if _AFFIRMED.match(text) else ""


def _side(match: re.Match[str]) -> str:
    return "yes" if match.group("yes") else "no"
