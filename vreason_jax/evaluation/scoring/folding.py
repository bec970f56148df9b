"""Texts in one form, so that a reading need not know how a model spells, quotes or sets them.

Every pattern here takes time that is linear in the text: blanks come singly before others look.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63", "-"),  # dashes, minus
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc`\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\u300e\u300f", '"'),
        **dict.fromkeys("\u3002\uff61", "."),
        "\u3001": ",",
        "\u2044": "/",
        **dict.fromkeys("\u00d7\u00b7\u22c5", " x "),
        **dict.fromkeys("\u3010\u3014", "["),
        **dict.fromkeys("\u3011\u3015", "]"),
    }
)
_POWERS = re.compile("[\u207a\u207b]?[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+")  # m², 10⁻³
_HALVES = re.compile(r"(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e])")  # 2 and a half: "2 1/2"
_NAMES = "log|ln|exp|sin|cos|tan|max|min|pi|alpha|beta|gamma|delta|theta|lambda|mu|sigma|omega"
# What LaTeX and Markdown put around an answer. The order matters: a fraction has braces.
_MARKUP = (
    (re.compile(r"<\|[a-z_]{1,20}\|>(?:assistant\n)?"), " "),
    (re.compile(r"~~[^~\n]{1,200}~~"), " "),  # struck out
    (re.compile(r"\{,\}"), ","),  # 7{,}243
    (re.compile(r"(?<=[0-9])_(?=[0-9]{3})"), ""),  # 7_243
    (re.compile(r"(?<=[0-9])(?:\*\*| \*\* )(?=-?[0-9])"), "^"),  # 10 ** 3
    (re.compile(r"(?<=[A-Za-z)])[}$]?_\{? ?([0-9]{1,3}) ?\}?"), r"\1"),  # CO_2
    (re.compile(r"\^\{ ?(-?[0-9]{1,3}) ?\}"), r"^\1"),
    (re.compile(r"(?<=[0-9])(?=\\[dt]?frac)"), " "),
    (re.compile(r"\\[,;:! ]|~"), " "),
    (re.compile(r"\\[dt]?frac\{([^{}\\]{1,40})\}\{([^{}\\]{1,40})\}"), r"\1/\2"),
    (re.compile(r"\\[dt]?frac ?([0-9]) ?([0-9])"), r"\1/\2"),
    (re.compile(r"\\sqrt(?![A-Za-z])"), "\u221a"),
    (re.compile(r"\\approx(?![A-Za-z])"), "\u2248"),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), " x "),
    (re.compile(r"\\(?:text|math|bold|em)[a-z]*(?![A-Za-z])"), ""),
    (re.compile(r"\\(?=[%$#&_])"), ""),
    (re.compile(rf"\\(?=(?:{_NAMES})(?![A-Za-z]))"), " "),
    (re.compile(r"\\[A-Za-z]+|\\[()\[\]]"), " "),
    (
        re.compile(r"\*\*|__|[${}#]|(?<![\w)])(?<![0-9] )\*|\*(?![\w(])(?! [0-9])|</?[a-z]{1,8}>"),
        " ",
    ),
)
_UNITS = {
    "kilograms?|kilos?": "kg", "grams?": "g", "newtons?": "n", "joules?": "j", "watts?": "w",
    "volts?": "v", "kilometer?s?": "km", "centimeters?": "cm", "millimeters?": "mm", "meters?": "m",
    "seconds?|secs?": "s", "minutes?": "min", "hours?": "h", "degrees? (?:celsius|c)": "c",
    "degrees? (?:fahrenheit|f)": "f",
}  # fmt: skip
SPELLINGS = (  # numbers with their units, British words, and what stands for them and others
    (re.compile(r"(?<=[0-9])(?=[a-z]+\b)(?!(?:st|nd|rd|th)\b|dot)"), " "),  # 10cm
    (re.compile(r"\b(\w*(?:col|vap|behavi|lab|flav|neighb|tum|od|harb|fav|hum))our"), r"\1or"),
    (re.compile(r"(?<=\w\w)is(?=e[ds]?\b|ing\b|ations?\b)"), "iz"),
    (re.compile(r"(?<=me|li|en|ib|ea)(?:tre|re)(?=s?\b)"), lambda m: m.group()[:-2] + "er"),
    (re.compile(r"\bgrey"), "gray"),
    (re.compile(r"(?<=\w)ys(?=e[ds]?\b|ing\b)"), "yz"),
    (re.compile(r"(?<=[a-z])ll(?=ed\b|ing\b)"), "l"),
    (re.compile(r"\bmoul(?=[dt])"), "mol"),
    (re.compile(r"\baeroplane"), "airplane"),
    (re.compile(r"[ao]e"), "e"),
    (re.compile(r"aluminium"), "aluminum"),
    (re.compile(r"sulph"), "sulf"),
    *((re.compile(rf"(?:(?<=[0-9] )|\bper )(?:{w})\b"), unit) for w, unit in _UNITS.items()),
)
CONCLUDING = "so|therefore|thus|hence"  # what stands before a conclusion
_FIELD = re.compile(  # {"answer": "B", "reason": ...}
    r'(?i)"(?:final[_ ]?|correct[_ ]?)?(?:answer|choice|option)" ?: ?'
    r'("[^"\n]+"|(?<=[rR]": )(?:true|false|-?[0-9.]+(?= *[,}\n])))'
)
_ACCENTS = re.compile("[\u0300-\u036f]")
_BLANKS = re.compile(r"\s+")
_NOT_WORDS = re.compile(r"[^\w']+|(?<!\w)'|'(?!\w)")


def fold(text: str) -> str:
    """Returns a text with plain signs, digits and single blanks, without accents and markup."""
    text = _POWERS.sub(r"^\g<0>", _HALVES.sub(" ", text))
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", respelled(text, _MARKUP)))
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", bare)).strip()


def respelled(text: str, spellings: Iterable[tuple[re.Pattern[str], Any]]) -> str:
    """Returns a text with what each pattern finds in it written as what stands beside it."""
    for pattern, other in spellings:
        text = pattern.sub(other, text)
    return text


def unboxed(text: str) -> str:
    r"""Returns what stands in the last \boxed{...} of a text, or as the answer of its JSON.

    The text itself where there is neither.
    """
    if fields := _FIELD.findall(text):
        return fields[-1].strip('"')
    start = text.rfind("\\boxed{")
    if start < 0:
        return text
    depth, begin = 0, start + len("\\boxed{")
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth < 0:
            return text[begin:place]
    return text[begin:]


def plain_words(text: str) -> str:
    """Returns a folded text's words in lower case, hyphens taken apart, signs left out."""
    return " ".join(_NOT_WORDS.sub(" ", fold(text).casefold()).split())
