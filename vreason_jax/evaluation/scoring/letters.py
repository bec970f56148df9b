"""The letter that a reply names for its answer, in whatever form."""

import re

from vreason_jax.evaluation.scoring.folding import CONCLUDING

# How a letter is named, the surest form first; X stands for the letters. Of the matches of one
# form the last counts, as people correct themselves, without those that the reply rejects.
_X = r"""(?<![A-Za-z0-9])["'(\[]*(?P<{0}>X)(?![A-Za-z0-9]|'[a-z]|-[a-z])"""
_UPPER = _X.format("upper") + r"(?! [a-z]+ing\b)"
_LOWER = _X.format("lower").replace("X", "(?i:X)") + r"""(?=["')\]]*(?:$|[.,:;!)\]]|\n))"""
_LETTER = f"(?:{_UPPER}|{_LOWER})"
_WORD = "answer|ans|solution|re(?:s?ponse|spuesta)|antwort"
_SIGNS = "\u7b54\u6848|\u6b63\u786e\u9009\u9879|\uc815\ub2f5|\u7b54\u3048|\u6b63\u89e3"
ANSWER = rf"(?i:\b(?:{_WORD})\b[\"']?|{_SIGNS})"
_VERB = "is|was|would be|must be|should be|[:=]|->|est|es|ist|lautet"
IS = rf"(?i: ?(?:{_VERB}|\u662f|\u4e3a|\u5e94\u4e3a|\u5e94\u8be5\u662f|\uc740|\u306f))"
_NOUN = r"(?i: (?:option|choice|letter|answer|most likely|probably|clearly|therefore|donc|la|:))"
_TURN = r"(?: ?\(| ?[-:|]| (?:is|looks|seems))"  # from an option's words to what is said of it
CHECK, _CROSS = "\u2611\u2713\u2714\u2705", "\u2717\u2718\u274c"
_FORMS = (
    # "A... no, C", "A. Wait, it's C", "everything but C is wrong"
    r"(?i:\b(?:(?:no|sorry|wait)[,:.!]+|(?:no|then|correction)\b:?|actually\b,?|or rather\b,?|"
    r"(?:all|everything|every option) (?:but|except(?: for)?))) ?"
    rf"(?i:(?:it's|it is|the answer is|option) )*{_UPPER}",
    # "from A to C", "A -> C"
    rf"(?i:\bfrom )[A-Z] (?i:to ){_UPPER}",
    rf"(?<![A-Za-z0-9])[A-Z] ?(?:[\u2192\u21d2]|[-=]>) ?{_UPPER}",
    r"(?i:\b(?:chang|revis|updat|correct|switch)\w+(?: [a-z]+){0,3} to )" + _LETTER,
    # "The answer is B", "Answer: (b)", "the correct answer would be option B"
    rf"{ANSWER}(?i: (?:choice|option|letter|finale?|correcta))?{IS}?{_NOUN}{{0,2}} ?:? ?{_LETTER}",
    # "but more likely B", "only A fits"
    r"(?i:\b(?:more|most) (?:likely|probably|plausibly)(?: it's| it is| option)?,? )" + _LETTER,
    rf"(?i:\bonly ){_UPPER} (?:is|was|fits|matches|remains|makes|works|holds|describes|agrees)\b",
    # "[x] B", and a list with a sign in front of every letter
    rf"\[(?i:x)\] ?{_UPPER}",
    rf"^(?=\W{{0,4}}[{CHECK}{_CROSS}]).*[{CHECK}]\ufe0f? ?{_UPPER}",
    # "A: a red cup - no; B: a blue hat - yes"
    rf"{_UPPER}[\"']?[.:)\]]*(?: ?|(?<=[.:)\]])(?: (?:(?!\b[A-Z]\b)[^.:;|]){{1,60}}?)?{_TURN} ?|"
    rf"{_TURN} ?)-? ?"
    r"(?<![A-Za-z])(?i:yes|true|correct|right)(?= *(?:$|[.,;|:)-]|because\b|[A-Z]\b))",
    rf"{_UPPER}[.:)\]| ]*(?:(?!\b[A-Z]\b)[^{CHECK}{_CROSS};]){{0,60}}[{CHECK}]",
    rf"{_UPPER}(?:\u9009?\u9879)?\u662f?\u6b63\u786e",
    # "B. a hat", "(B) a hat", "b) a hat" in front
    r"""^["'\[]*(?:\((?P<a>(?i:X))\)|(?P<b>X)(?:[.:)\]]|,? -(?= ))|"""
    r"""(?P<c>(?i:X))(?:[):]|\.(?= )))(?![A-Za-z0-9])""",
    # "Option B", "I choose B", "going with b", "so B", "选B"
    r"(?:(?i:(?<!each )(?<!every )\b(?:option|choice|letter|choose|chose|select|pick|opt|opt for|"
    r"leaves|leaving|left with|remains|settled? (?:on|for)|"
    r"lean(?:ing)? (?:to|towards?)|go(?:ing)? (?:with|for)|"
    rf"{CONCLUDING}|conclude|it is|it's|(?:must|should|to) be))(?: it is| it's)?,? ?:? ?|"
    r"[\u9009\u62e9]\u9879? ?|[\u6240\u56e0][\u4ee5\u6b64]\u662f? ?)" + _LETTER,
    # "B is correct", "B is what falls", "B seems right"
    rf"{_UPPER}[\"')\]]*(?: (?:is|seems|looks|must be|would be|fits|matches))+"
    r" (?:(?:the |most |more |clearly )*(?:correct|right|true|answer|best|better|likely|one\b|"
    r"what\b|a better)|(?:more|most) [a-z]+)",
    rf"{_UPPER} (?:over|>) ?(?=[A-Z]\b)",
    # "I would say B, although A is possible", "\u27a1 C"
    rf"(?i:\b(?:say|guess|think|believe) (?:it's |it is )?){_LETTER}"
    r"(?=$|[.,;:!]| (?:because|since|as|although|but)\b)",
    rf"[\u2192\u21d2\u27a1]\ufe0f? ?{_UPPER}(?=\W*$)",
    # "OptionB"
    r"(?i:\b(?:option|choice|answer))(?P<joined>X)(?![A-Za-z0-9])",
)
# What stands behind an A or an I that is a letter, and no word.
_BEHIND = r"$|[.,;:)/\"]|(?:or|and|because|since|matches|fits)\b"
_NO_WORD = {
    "I": re.compile(rf"\s*(?:{_BEHIND})"),
    "A": re.compile(rf"\s*(?:{_BEHIND}|(?:only|is|seems)\b)"),
}
_TRUE = rf"\b(X)(?: is (?:true|correct)\b|:? ?[{CHECK}])"
_FEW_WORDS = 60  # characters
# Several at once: "A and C are wrong", "neither A nor C", "A, B and C are out".
_ONE = r"(?<![A-Za-z0-9])[\"'(\[]*X[\"')\]]*(?![A-Za-z0-9]|'[a-z]|-[a-z])"
_LIST = (
    rf"(?P<{{0}}>{_ONE}(?:(?:, ?{_ONE}){{{{0,9}}}},? (?:and|or|nor) {_ONE}"
    rf"|(?:[\u3001\u548c]{_ONE}){{{{1,9}}}})?)"
)
_REJECTED = (
    r"(?i:\b(?:not|cannot|neither|nor)\b|n't|never|rul(?:e|es|ed|ing) out|eliminat\w{1,4}|"
    r"exclud\w{1,4}|rather than|instead of|\u6392\u9664|\u4e0d\u662f|\u4e0d\u9009)"
    r"(?i: (?:options?|answers?|choices?|be|the|pick|choose|select|take))* ?"
    + _LIST.format("after"),
    r"(?i:\b(?:thought|considered|guessed|going to say|(?:initially|at first|first|wrongly)"
    r"(?: (?:chose|picked|selected|said|took))?|(?:wrong|incorrect) (?:answers?|options?|ones?))"
    r"(?: (?:it )?(?:was|is|are))?:?) " + _LIST.format("once"),
    r"(?<!but )(?<!except )"
    + _LIST.format("before")
    + r"(?i:,? (?:is|was|are|were|can be|looks|seems|must be) (?:\w+ )?(?:out|wrong|incorrect|"
    r"false|not|ruled|eliminated|excluded|impossible|unlikely)\b| (?:isn't|aren't|cannot|can't|"
    r"doesn't|don't)|\u4e0d\u5bf9|\u9519)",
)


def letter_named(text: str, letters: str) -> str:
    """Returns the letter that a folded text names by a form of words, "" where it names none.

    Where all letters but one are said to be true, or to be wrong, it is that one.
    """
    refused = _rejected(text, letters)
    true = set(re.findall(_TRUE.replace("X", f"[{letters}]"), text))
    if len(true) > 2 and len(odd := set(letters) - true) == 1:
        return odd.pop()
    for form in _FORMS:
        named = [
            _letter_of(match) for match in re.finditer(form.replace("X", f"[{letters}]"), text)
        ]
        if kept := [letter for letter in named if letter not in refused]:
            return kept[-1]
    left = set(letters) - refused
    return left.pop() if len(left) == 1 and len(refused) > 1 else ""


def lone_letter(text: str, letters: str) -> str:
    """Returns the letter that is all of a folded text, "" for another text."""
    form = rf"(?i:option |choice )?[\"'(\[<]*((?i:[{letters}]))[\"')\]>]*[.,:;!]?"
    match = re.fullmatch(form, text)
    return match.group(1).upper() if match else ""


def only_letter(text: str, letters: str) -> str:
    """Returns the one letter that stands by itself; A and I are words too where words follow."""
    named = {
        match.group(1)
        for match in re.finditer(rf"(?<![A-Za-z0-9])(?<!\w')([{letters}])(?![A-Za-z0-9]|'\w)", text)
        if match.group() not in "AI" or _NO_WORD[match.group()].match(text, match.end())
    } - _rejected(text, letters)
    return named.pop() if len(named) == 1 else ""


def lower_letter(text: str, letters: str) -> str:
    """Returns the one small letter that stands by itself in a few words: "i think c"."""
    small = letters.lower().replace("a", "").replace("i", "")
    if len(text) > _FEW_WORDS or not small:
        return ""
    named = set(re.findall(rf"(?<![\w.'-])([{small}])(?![\w'-]|\.[a-z])", text))
    return named.pop().upper() if len(named) == 1 else ""


def _letter_of(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).upper()


def _rejected(text: str, letters: str) -> set[str]:
    lists = (
        next(filter(None, match.groups()))
        for form in _REJECTED
        for match in re.finditer(form.replace("X", f"[{letters}]"), text)
    )
    return {letter for named in lists for letter in re.findall(rf"\b[{letters}]\b", named)}
