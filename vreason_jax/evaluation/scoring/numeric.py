"""Numbers in answers, and mean relative accuracy in the two variants that are published."""

import re

import numpy as np

from vreason_jax.evaluation.scoring.folding import fold

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(SMALL)}
_VALUES |= {word: 10 * (value + 2) for value, word in enumerate(TENS)}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_WORD = "|".join(sorted([*_VALUES, *_SCALES, "half"], key=len, reverse=True))
_WORDS = re.compile(
    rf"(?:minus |negative )?(?<!no )(?<!the )(?<!this )(?<!that )"
    rf"(?:an? (?={'|'.join(_SCALES)}))?\b(?:{_WORD})\b(?:(?: and an? | and |-| )(?:{_WORD})\b)*"
)
_DIGITS = re.compile(
    r"(?P<sign>(?<![\w.)])[-+] ?|minus |negative )?"
    r"(?<![A-Za-z0-9_.^])(?<!\^ )(?<!\^-)"  # no digits of a name such as R2, of a power: m^2
    r"(?:(?P<european>[0-9]{1,3}(?:\.[0-9]{3})++,[0-9]++)"
    r"|(?P<grouped>[0-9]{1,3}(?:(?:,[0-9]{3})++|(?:[ '][0-9]{3})++)(?![0-9])(?:\.[0-9]++)?)"
    r"|(?P<mixed>[0-9]++ [0-9]++/[0-9]++)"
    r"|(?P<plain>[0-9]++(?:[.,][0-9]++)?|\.[0-9]++))"
    r"(?P<exponent>e[-+]?[0-9]++| ?x ?10 ?\^ ?[-+]?[0-9]++)?"
    r"(?:(?P<over> ?/ ?[0-9]++(?:\.[0-9]++)?)|(?P<scale> (?:hundred|thousand|million|billion)\b))?"
    r"(?!(?:st|nd|rd|th)\b)"
)
_CHINESE = re.compile("[\u96f6\u4e00\u4e8c\u4e24\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d\u5341]+")
_CHINESE_VALUES = dict(
    zip("\u96f6\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d", range(10), strict=True)
) | {"\u4e24": 2}
_CITATION = re.compile(r"(?<=\S) \[[0-9]{1,2}\]")
# What a number is said behind, the surest first; where several are, the last one counts.
_LEADS = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:answer|result|estimate)\b(?: (?:is|would be|must be|should be|=))?|\u7b54\u6848",
        r"\b(?:so|therefore|thus|hence|altogether|equals|a total of|in total|makes|gives)\b",
        r"=|\u5171",
    )
)
_IN_ALL = re.compile(r"^[ a-z]{0,20} (?:in all|in total|altogether)\b")

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def parse(text: str) -> float | None:
    """Returns a text that is a number, commas removed, as Video-R1 reads it; None for others."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def numbers_in(text: str) -> list[str]:
    """Returns the numbers of a text in digits, in their order: "a dozen", "1,000", "1/4"."""
    return [number for number, _ in _numbers(fold(text).lower())]


def number_in(text: str) -> str:
    """Returns the number that a text gives as its answer, in digits; "" for none.

    It is the first one behind words such as "the answer is", else one "in all", else the first.
    """
    folded = _CITATION.sub("", fold(text).lower())
    found = _numbers(folded)
    for lead in _LEADS:
        ends = [match.end() for match in lead.finditer(folded)]
        for number, (start, _) in found if ends else ():
            if start >= ends[-1]:
                return number
    for number, (_, end) in found:
        if _IN_ALL.match(folded[end : end + 40]):
            return number
    return found[0][0] if found else ""


def digits_for_words(text: str) -> str:
    """Returns a folded text with its numbers in digits, without marks between thousands."""
    parts, place = [], 0
    for number, (start, end) in _numbers(text):
        parts += [text[place:start], number]
        place = end
    return "".join([*parts, text[place:]])


def _numbers(text: str) -> list[tuple[str, tuple[int, int]]]:
    """Returns the numbers of a folded text in small letters, and where each stands."""
    found = [(_of_digits(match), match.span()) for match in _DIGITS.finditer(text)]
    taken = [span for _, span in found]
    words = [(_of_words(match.group()), match.span()) for match in _WORDS.finditer(text)]
    words += [(_of_chinese(match.group()), match.span()) for match in _CHINESE.finditer(text)]
    if taken:  # "7.2 million" has its words in it
        inside = {place for start, end in taken for place in range(start, end)}
        words = [word for word in words if word[1][0] not in inside]
    return sorted(found + words, key=lambda number: number[1])


def _of_digits(match: re.Match[str]) -> str:
    part = match.groupdict()
    if part["european"]:
        written = part["european"].replace(".", "").replace(",", ".")
    elif part["grouped"]:
        written = re.sub("[ ,']", "", part["grouped"])
    elif part["mixed"]:
        whole, over = part["mixed"].split(" ")
        upper, lower = map(float, over.split("/"))
        written = _plain(float(whole) + (upper / lower if lower else 0.0))
    else:
        written = part["plain"].replace(",", ".")
    if part["exponent"]:
        written += "e" + re.sub("x ?10|[ ^e]", "", part["exponent"])
    lower = float(part["over"].strip(" /")) if part["over"] else 0.0
    if lower:
        written = _plain(float(written) / lower)
    if part["scale"]:
        written = _plain(float(written) * _SCALES[part["scale"].strip()])
    return ("-" if (part["sign"] or "+").strip() not in ("+", "") else "") + written


def _of_words(text: str) -> str:
    words = [word for word in re.findall("[a-z]+", text) if word not in ("a", "an", "and")]
    sign = "-" if words[0] in ("minus", "negative") else ""
    total, current = 0.0, 0.0
    for word in words[bool(sign) :]:
        if word in _SCALES:
            current = max(current, 1) * _SCALES[word]
            if _SCALES[word] >= 1000:
                total, current = total + current, 0.0
        elif word == "half":
            current += 0.5
        else:
            value = _VALUES[word]
            room = 100 if value >= 10 else 10
            if current % room or (total + current and current == 0 and total % 1000):
                break  # two numbers, one after the other
            current += value
    return sign + _plain(total + current)


def _of_chinese(text: str) -> str:
    """Returns a Chinese number up to 99 in digits."""
    tens, ten, ones = text.rpartition("\u5341")
    upper = _CHINESE_VALUES.get(tens[-1:], 1) if ten else 0
    return str(10 * upper + _CHINESE_VALUES.get(ones[:1], 0))


def _plain(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def equal_to_hundredths(left: str, right: str) -> bool:
    """Returns whether two texts are numbers that are equal after rounding to two decimals."""
    ours, theirs = parse(left), parse(right)
    return ours is not None and theirs is not None and round(ours, 2) == round(theirs, 2)


def mra_video_r1(prediction: float, target: float) -> float:
    """Returns the mean over 0.50, 0.55 ... 0.95 of |p - t| / (|t| + 1e-8) < 1 - threshold.

    In float32 and strict, as Video-R1's reward_fn (its thresholds are torch.arange's).
    """
    single = np.float32
    with np.errstate(all="ignore"):
        ours, truth = single(prediction), single(target)
        error = np.abs(ours - truth) / (np.abs(truth) + single(1e-8))
        thresholds = np.asarray(THRESHOLDS, single)
        return float(np.mean(error < single(1) - thresholds))


def mra_official(prediction: float, target: float) -> float:
    """Returns the mean over 0.50, 0.55 ... 0.95 of |p - t| / |t| <= 1 - threshold.

    In float64, without an epsilon, and with np.linspace's thresholds, as in VSI-Bench's code: one
    of them is 0.8999999999999999, which counts an error of exactly 0.1. Of a target 0 only 0 is
    right, where the code divides by it.
    """
    if target == 0:
        return float(prediction == 0)
    thresholds = np.linspace(0.5, 0.95, len(THRESHOLDS))
    with np.errstate(all="ignore"):
        return float(
            np.mean(np.abs(np.float64(prediction) - target) / abs(target) <= 1 - thresholds)
        )
