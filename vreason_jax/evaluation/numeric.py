"""Numbers in answers, and mean relative accuracy in the two variants that are published."""

import re

import numpy as np

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: value for value, word in enumerate(SMALL)}
_WORDS |= {word: 10 * (value + 2) for value, word in enumerate(TENS)}
_WORDS |= {
    f"{ten}{joint}{one}": 10 * (t + 2) + o
    for t, ten in enumerate(TENS)
    for o, one in enumerate(SMALL[:10])
    if o
    for joint in ("-", " ")
}
_DIGITS = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+"
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
# Not the digits of a name such as R2, and not the dash of a range such as 3-4 as a minus.
_NUMBER = re.compile(rf"(?<![\w.])(?:{_DIGITS})(?![A-Za-z]*\d)|\b(?:{_WORD})\b", re.IGNORECASE)

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def parse(text: str) -> float | None:
    """Returns a text that is a number, commas removed, as Video-R1 reads it; None for others."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def numbers_in(text: str) -> list[str]:
    """Returns the numbers of a text as they are written, words ("twelve") as digits."""
    found = [match.group() for match in _NUMBER.finditer(text)]
    return [str(_WORDS.get(number.lower(), number)) for number in found]


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

    In float64 and without an epsilon, as VSI-Bench defines it, with the thresholds as decimals: an
    error of exactly 0.1 is not <= 1 - 0.9. (Its code draws them by np.linspace, which gives
    0.8999999999999999 there, and so counts that one error.) Of a target 0 only 0 is right, where
    the definition divides by it.
    """
    if target == 0:
        return float(prediction == 0)
    error = abs(prediction - target) / abs(target)
    return sum(error <= 1 - threshold for threshold in THRESHOLDS) / len(THRESHOLDS)
