"""From a reply to what counts as its answer: strictly, and as a person would read it."""

import re

from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, Record
from vreason_jax.evaluation.scoring.folding import boxed, fold, plain_words
from vreason_jax.evaluation.scoring.numeric import number_in
from vreason_jax.output.answer import CLOSING, OPENING, extract_answer

_LONGEST = 1500  # characters that are read of the beginning and of the end of an answer
_UNTOLD = "ABCDEFGHIJ"  # where the letters stand in the picture alone
_THINK, _END_OF_THOUGHT = "<think>", "</think>"
_ARTICLE = re.compile(r"^(?:the|an?) ")

# How a letter is named, the surest form first; X stands for the letters. Of the matches of one
# form the last counts, as people correct themselves, without those that the reply rejects.
_X = r"""(?<![A-Za-z0-9])["'(\[]*(?P<{0}>X)(?![A-Za-z0-9]|'[a-z]|-[a-z])"""
_UPPER = _X.format("upper") + r"(?! [a-z]+ing\b)"
_LOWER = _X.format("lower").replace("X", "(?i:X)") + r"""(?=["')\]]*(?:$|[.,:;!)\]]|\n))"""
_LETTER = f"(?:{_UPPER}|{_LOWER})"
_ANSWER = r"(?i:\b(?:answer|ans|solution|response)\b|\u7b54\u6848|\u6b63\u786e\u9009\u9879)"
_IS = (
    r"(?i: ?(?:is|was|would be|must be|should be|[:=]|->|"
    r"\u662f|\u4e3a|\u5e94\u4e3a|\u5e94\u8be5\u662f))"
)
_NOUN = r"(?i: (?:option|choice|letter|answer|most likely|probably|clearly|therefore|:))"
_FORMS = (
    # "The answer is B", "Answer: (b)", "the correct answer would be option B"
    rf"{_ANSWER}(?i: (?:choice|option|letter))?{_IS}?{_NOUN}{{0,2}} ?:? ?{_LETTER}",
    # "B. a hat", "(B) a hat", "b) a hat" in front
    r"""^["'\[]*(?:\((?P<a>(?i:X))\)|(?P<b>X)(?:[.:)\]]|,? -(?= ))|"""
    r"""(?P<c>(?i:X))(?:[):]|\.(?= )))(?![A-Za-z0-9])""",
    # "Option B", "I choose B", "going with b", "so B", "选B"
    r"(?:(?i:\b(?:option|choice|letter|choose|chose|select|pick|go(?:ing)? (?:with|for)|opt for|"
    r"so|thus|hence|therefore|conclude|it is|it's))(?: it is| it's)?,? ?:? ?|"
    r"[\u9009\u62e9]\u9879? ?)" + _LETTER,
    # "B is correct", "B is what falls", "B seems right"
    rf"{_UPPER}[\"')\]]*(?: (?:is|seems|looks|must be|would be|fits|matches))+"
    r" (?:the |most |clearly )*(?:correct|right|true|answer|best|likely|one\b|what\b)",
)
_REJECTED = (
    r"(?i:\b(?:not|neither|nor)\b|n't|never|rul(?:e|es|ed|ing) out|eliminat\w{1,4}|exclud\w{1,4}|"
    r"rather than|instead of|\u6392\u9664|\u4e0d\u662f|\u4e0d\u9009)"
    r"(?i: (?:option|answer|choice|be|the))* ?" + _X.format("after"),
    _X.format("before")
    + r"[\"')\]]*(?i:,? (?:is|was|are|can be|looks|seems|must be) (?:\w+ )?(?:out|wrong|incorrect|"
    r"false|not|ruled|eliminated|excluded|impossible|unlikely)\b| (?:isn't|cannot|can't|doesn't))",
)
_LEAD = re.compile(rf"{_ANSWER}{_IS}(?: that)?(?P<rest>[^.;\n]{{1,300}})")
_YES_NO = (
    re.compile(
        rf"{_ANSWER}{_IS}[\s\"'(]*(?P<said>(?i:yes|no|true|false|correct)\b|[\u662f\u5426])"
    ),
    re.compile(
        r"^[\s\"'(]*(?P<said>(?i:yes|yeah|yep|no(?! doubt)|nope|true|false|correct|incorrect)\b)"
    ),
    re.compile(r"^(?P<said>\u4e0d[\u662f\u5bf9]?|\u6ca1\u6709|[\u5426\u662f\u5bf9\u6709])"),
    re.compile(r"(?P<said>(?i:\byes\b|\bno\b(?! doubt| one\b| longer\b)))"),
)
_NOES = ("no", "nope", "false", "incorrect")
_CHINESE_NO = "\u4e0d\u6ca1\u5426"


def extract(text: str) -> str:
    """Returns the first answer block, or the whole text where there is none or an empty one.

    As Video-R1's extract_answer and what its reward_fn does with it.
    """
    return extract_answer(text) or text.strip()


def answer_part(text: str) -> str:
    """Returns `whole_part` without its middle where it is too long for an answer."""
    part = whole_part(text)
    return part if len(part) <= 2 * _LONGEST else f"{part[:_LONGEST]}\n{part[-_LONGEST:]}"


def whole_part(text: str) -> str:
    """Returns the part of a reply that holds its answer; "" where the reasoning was cut off.

    It is the last answer block behind the reasoning, an opened one that was cut off, or else all
    that follows the reasoning; the last block within the reasoning where nothing follows it.
    """
    before, closed, tail = text.rpartition(_END_OF_THOUGHT)
    if not closed:
        before, tail = "", text
    said, opened, thought = tail.partition(_THINK)
    if block := _last_block(tail):
        return block
    if opened:  # reasoning that nothing closes
        said, thought = said.strip(), thought
        return said or _last_block(before)
    rest = said.rpartition(OPENING)[2].replace(CLOSING, " ").strip()
    return rest or _last_block(before)


def lenient(text: str, record: Record) -> str:
    """Returns the answer that a reply gives in whatever form: a letter, a number, else its words.

    "" where none is found.
    """
    body = answer_part(text)
    inner = boxed(body)
    body = inner if inner is not None else body
    if record.kind == CHOICE and len(record.gold) > 1:  # yes or no, without options
        return yes_or_no(body) or plain_words(body).split(" ")[0]
    if record.kind == CHOICE:
        return letter_in(body, record.options)
    return body if record.kind == FREE else number_in(body)


def letter_in(body: str, options: tuple[str, ...]) -> str:
    """Returns the letter of `options` that a text names: "B", "(B)", "B. a cup", "a cup", ..."""
    letters = "".join(option[0] for option in options) or _UNTOLD
    text = fold(body)
    alone = re.fullmatch(
        rf"(?i:option |choice )?[\"'(\[<]*((?i:[{letters}]))[\"')\]>]*[.,:;!]?", text
    )
    if alone:
        return alone.group(1).upper()
    if equal := _letter_of_equal_words(text, options):
        return equal
    spoken = {plain_words(option[2:]): option[0] for option in options}
    if set(spoken) == {"yes", "no"} and (said := yes_or_no(text)):
        return spoken[said]
    leads = [match.group("rest") for match in _LEAD.finditer(text)]
    for rest in reversed(leads):  # "The answer is a red hat": the words of an option
        if equal := _letter_of_equal_words(rest, options):
            return equal
    rejected = _rejected(text, letters)
    for form in _FORMS:
        named = [
            _letter_of(match) for match in re.finditer(form.replace("X", f"[{letters}]"), text)
        ]
        if kept := [letter for letter in named if letter not in rejected]:
            return kept[-1]
    words = _letter_of_words(leads[-1], options) if leads else ""
    return words or _letter_of_words(text, options) or _only_letter(text, letters, rejected)


def option_in(block: str, options: tuple[str, ...]) -> str:
    """Returns the letter of the option whose words an answer is; the answer itself without one."""
    said = plain_words(block)
    return next((o[0] for o in options if said and plain_words(o[2:]) == said), block)


def yes_or_no(body: str) -> str:
    """Returns "yes" or "no" as a text says it first or for its answer, "" for neither."""
    text = fold(body)
    for form in _YES_NO:
        said = [match.group("said").lower() for match in form.finditer(text)]
        if said:
            word = said[-1 if form is _YES_NO[0] else 0]
            return "no" if word in _NOES or word[0] in _CHINESE_NO else "yes"
    return ""


def _last_block(text: str) -> str:
    """Returns the last closed answer block that is not empty, "" where there is none."""
    end = text.rfind(CLOSING)
    while end >= 0:
        start = text.rfind(OPENING, 0, end)
        if start < 0:
            return ""
        if block := text[start + len(OPENING) : end].strip():
            return block
        end = text.rfind(CLOSING, 0, start)
    return ""


def _letter_of(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).upper()


def _rejected(text: str, letters: str) -> set[str]:
    return {
        _letter_of(match)
        for form in _REJECTED
        for match in re.finditer(form.replace("X", f"[{letters}]"), text)
    }


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


def _texts(options: tuple[str, ...]) -> list[tuple[str, str]]:
    """Returns the letters and plain words of the options that have words."""
    texts = [(option[0], _bare(option[2:])) for option in options]
    return [(letter, words) for letter, words in texts if words]


def _bare(text: str) -> str:
    """Returns plain words without the article before them."""
    return _ARTICLE.sub("", plain_words(text))


def _holds(text: str, words: str) -> bool:
    return f" {words} " in f" {text} "


def _denied(text: str, words: str) -> bool:
    return any(_holds(text, f"not {article}{words}") for article in ("", "a ", "an ", "the "))


def _only_letter(body: str, letters: str, rejected: set[str]) -> str:
    """Returns the one letter that stands by itself; A and I are words too where words follow."""
    named = {
        match.group(1)
        for match in re.finditer(rf"(?<![A-Za-z0-9'])([{letters}])(?![A-Za-z0-9'])", body)
        if match.group() not in "AI"
        or re.match(r"\s*(?:$|[.,;:)/\"]|or\b|and\b)", body[match.end() : match.end() + 9])
    } - rejected
    return named.pop() if len(named) == 1 else ""
