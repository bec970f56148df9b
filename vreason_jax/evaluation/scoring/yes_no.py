"""Yes or no, in the words that people say it with."""

import re

from vreason_jax.evaluation.scoring.folding import CONCLUDING, fold

_RIGHT, _WRONG = "true|correct|accurate", "false|incorrect|inaccurate|wrong|untrue|mistaken"
_YES = (
    rf"yes|yeah|yep|yup|sure|of course|certainly|absolutely|definitely|indeed|exactly|affirmative|"
    rf"probably|likely|{_RIGHT}|matches|not (?:no|{_WRONG})|oui|si|ja"
)
_NO = (
    rf"no|nope|nah|never|on the contrary|negative|unlikely|hardly|{_WRONG}|mismatch|"
    rf"nothing|nobody|non|nein|not (?:really|at all|yes|likely|{_RIGHT})|"
    r"(?:of course|certainly|absolutely|definitely|surely|indeed|most likely|probably) not"
)
# Signs of other scripts; the first of them hold a sign of denial, but affirm.
_SIGN_IDIOMS = (
    "\u6ca1\u9519|\u4e0d\u9519|\u6b63\u786e|\u53ef\u4ee5|\u306f\u3044|\u0434\u0430|\ub124|\uc608"
)
_SIGN_YES = "\u662f|\u5bf9|\u5c0d|\u6709|\u4f1a|\u2713|\u2714|\u2705"
_SIGN_NO = (
    "\u4e0d|\u6ca1|\u6c92|\u5426|\u9519|\u5e76\u6ca1|\u5e76\u672a|\u5e76\u975e|\u3044\u3044\u3048|\u043d\u0435\u0442|\uc544\ub2c8|"
    "\u2717|\u2718|\u274c"
)
_SAID = (
    rf"(?:(?:{_SIGN_IDIOMS})|(?P<no>\b(?:{_NO})\b|{_SIGN_NO})|"
    rf"(?P<yes>\b(?:{_YES})\b|{_SIGN_YES}))"
)
# What holds the words without saying them.
_UNSAID = re.compile(
    r"\b(?:yes|true)(?: or |/)(?:no|false)\b|(?<!^)\byes and no\b(?! one)|\bnot only\b|"
    r"\bno (?:doubt|question|one|longer|other|more|idea|clue|information|answer|problem|way)\b|"
    r"\bnot no\b(?= but)|^(?:\u5bf9\u4e0d\u8d77|\u4e0d\u597d\u610f\u601d|\u62b1\u6b49)"
)
_SHORT = re.compile(r"(?:(?<=\bis)|(?<=\bare)|(?<=\bwas))n't\b")
_DENIED = re.compile(r"\b(?:would not|wouldn't|wrong to) (?:say|answer) (?:(yes)|no)\b")
_UNSURE = re.compile(
    r"(?:\b(?:(?:not|cannot)|\w+n't) (?:\w+ )?(?:know|tell|see|sure|clear|certain|determine|say|"
    r"enough|possible to|applicable|available|confirm|verify|be (?:determined|confirmed|known))|"
    r"\b(?:i|we)(?:'m| am| are)? (?:cannot|can not|can't|could not|couldn't|unable to|do not|don't)"
    r" (?:\w+ )?(?:view|watch|access|help|assist|answer|provide|have|make|identify)|"
    r"\bdoes(?: not|n't) (?:provide|say)|\b(?:unclear|uncertain|unsure|unknown|unable to|"
    r"impossible to (?:say|tell|know|see|determine|judge|be)))\b"
)
_OPEN = re.compile(
    r"^yes and no\b(?! one)|"
    "\u4e0d(?:\u80fd)?\u786e\u5b9a|\u65e0\u6cd5|\u4e0d\u6e05\u695a|\u4e0d\u77e5\u9053|\u4e0d\u660e\u786e"
)
_ANSWER = re.compile(
    r"(?:\b(?:answer|ans|conclusion)\b|\u7b54\u6848)(?: is|:|=|\u662f|\u4e3a)*[\s\"'(]*(?:that )?"
    + _SAID
)
_CLAIM = (
    r"(?:the|this|that)(?: given)? (?:statement|claim|description|caption|sentence|answer)"
    r"(?: in the question)?"
)
_FIRST = re.compile(
    r"^[\s\"'(\[.,]*(?:(?:well|so|i (?:initially )?(?:think|thought|believe|guess|"
    r"(?:would|'d) say)),? )*"
    rf"(?:(?:{_CLAIM}|that|it|this)(?:'s| is)? )?(?:looks? )?" + _SAID
)
# "so the statement is false.", "The ball goes up. True."
_LAST = re.compile(
    rf"(?:\b(?:{_CLAIM}|this|that|it) (?:is|are|looks|seems)"
    r"(?: (?:therefore|thus|clearly|indeed))* |"
    rf"(?<=[.!?;:] )(?:(?:{CONCLUDING}|then),? (?:the answer is |it is )?)?)" + _SAID + r"[.! ]*$"
)
# "so it is true that", "so no, ...", "Is it faster? Not at all."
_TELLS = re.compile(
    rf"\b(?:{CONCLUDING}),? (?:it is|it's|it seems|it looks) "
    r"(?:(?:indeed|also|thus|very|quite) )?"
    rf"(?:(?P<no>{_WRONG}|not (?:{_RIGHT}|the case|likely)|unlikely|improbable)|"
    rf"(?P<yes>not (?:{_WRONG})|{_RIGHT}|the case|likely|probable)) that\b"
)
_SO = re.compile(rf"(?:\b(?:{CONCLUDING}),? |\u6240\u4ee5|\? )" + _SAID + r"(?! [a-z])")
_CONCLUDES = re.compile(rf"\b(?:{CONCLUDING})\b")
_FITS = re.compile(
    rf"\b(?:{_CLAIM}|it|this|that|which|video)(?: accurately| correctly| exactly)? "
    r"(?:(?P<no>contradicts|shows the opposite|"
    r"(?:does not|doesn't) (?:match|correspond|describe|reflect|fit|hold|stand))|"
    r"(?P<yes>matches|corresponds|describes|reflects|fits|holds|stands))\b"
)
# "no... wait, yes", "yes? no"
_SECOND = re.compile(
    r"[,;.]? *(?:\?|\.\.|\bwait\b|\bactually\b|\brather\b|\bbut\b)[^a-z]*"
    r"(?:(?:no,? wait|wait|actually|rather),? )*" + _SAID
)
_AGAIN = re.compile(r"[,;.]? *\b(?:no,? )?wait\b,? *" + _SAID)
_NEGATED = re.compile(
    r"\b(?:not|never|cannot|neither|fails? to|rather than|instead of)\b|n't\b|"
    r"\u6ca1\u6709|\u5e76\u672a|\u4e0d\u662f"
)
_AFFIRMED = re.compile(
    r"^(?:i (?:think|believe|would say|'d say|guess) )?(?:it|that|this|they|he|she|there|the \w+) "
    r"(?:is|are|does|do|did|was|were|has|can)(?: indeed)?"
    r"(?: true| correct| right| the case)?(?:[.! ]*$|,? (?:though|but|although|as|because|since)\b)"
    r"|^i (?:think|believe) so\b|\bindeed\b"
)
_ANYWHERE = re.compile(r"(?P<yes>\byes\b)|(?P<no>\bno\b)")
_BY_ITSELF = re.compile(r"(?P<yes>\byes\b)|(?P<no>\bno\b(?! [a-z]))")  # no "no signs of"
_STOP = re.compile(r"[.!?;] (?=.)")
_WORD = re.compile(
    r"\b(?!(?:an?|the|is|are|was|were|do|does|did|has|have|can|there|in|of)\b)[a-z]+"
)
_PRONOUN = re.compile(rf"(?:(?:{CONCLUDING}|but) )?,? ?(?:he|she|it|they)\b")
_ALONE = {"y": "yes", "n": "no", "right": "yes", "positive": "yes", "none": "no"}
_SENTENCE = 120  # characters; a longer text without yes or no says more than one thing


def yes_or_no(body: str, question: str = "") -> str:
    """Returns "yes" or "no" as a text says it for its answer, first, or by what it denies.

    By what the question asks where the text says that again. "" for neither.
    """
    text = _UNSAID.sub(" ", _SHORT.sub(" not", fold(body).lower())).strip()
    if denied := list(_DENIED.finditer(text)):
        return "no" if denied[-1][1] else "yes"
    if alone := _ALONE.get(text.removeprefix("looks ").removeprefix("that is ").rstrip(".! ")):
        return alone
    if _OPEN.search(text):
        return ""
    if told := list(_ANSWER.finditer(text)):
        return _side(told[-1])
    last = _LAST.search(text)
    if last and _CONCLUDES.search(text, last.start() - 1):
        return _side(last)
    if told := [*_TELLS.finditer(text), *_SO.finditer(text)]:
        return _side(told[-1])
    if first := _FIRST.match(text):
        return _side(_last_thought(text, first))
    if last := last or _FITS.search(text):
        return _side(last)
    if _UNSURE.search(text):
        return ""
    if said := (_ANYWHERE if len(text) <= _SENTENCE else _BY_ITSELF).search(text):
        return _side(_last_thought(text, said))
    *_, end = _STOP.split(text)
    if _says_again(end, question):
        return "no" if _NEGATED.search(end) else "yes"
    if len(text) > _SENTENCE:
        return ""
    return "no" if _NEGATED.search(text) else "yes" if _AFFIRMED.search(text) else ""


def _says_again(text: str, question: str) -> bool:
    """Returns whether a text has the words of a plain question in their order, endings aside."""
    asked, said = _WORD.findall(question.split("?")[0].lower()), iter(_WORD.findall(text))
    if len(asked) > 2 and _PRONOUN.match(text):
        asked = asked[1:]
    return (
        len(asked) > 1
        and not _NEGATED.search(question)
        and all(any(word.startswith(one[: max(3, len(one) - 3)]) for word in said) for one in asked)
    )


def is_unsure(body: str) -> bool:
    """Returns whether a text says that it cannot be told."""
    text = fold(body).lower()
    return bool(_UNSURE.search(text) or _OPEN.search(text))


def _last_thought(text: str, said: re.Match[str]) -> re.Match[str]:
    """Returns what stands behind the last "wait" or "but", where somebody goes back on a word."""
    while second := _SECOND.match(text, said.end()) or _AGAIN.match(text, said.end()):
        said = second
    return said


def _side(match: re.Match[str]) -> str:
    return "no" if match.group("no") else "yes"
