"""Numbers in a text, in whatever form: 1,000, 1e3, 1/4, 2√2, a dozen, twenty-one, two thirds."""

import re
from collections.abc import Callable

SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = (  # from the first, at place 0
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", *(f"{word}th" for word in SMALL[13:]),
)  # fmt: skip
_VALUES = {word: value for value, word in enumerate(SMALL)}
_VALUES |= {word: 10 * (value + 2) for value, word in enumerate(TENS)}
_SCALES = {"couple": 2, "pair": 2, "dozen": 12, "hundred": 100}
_SCALES |= {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_CHINESE_MARKS = {"\u767e": 100, "\u5343": 10**3, "\u4e07": 10**4, "\u4ebf": 10**8}
_MARKS = {"k": 10**3} | _SCALES | _CHINESE_MARKS
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4, "thirds": 3, "fifths": 5}
_PARTS |= {"eighths": 8, "tenths": 10}
_ONE_PART = {"third": 3, "fifth": 5, "eighth": 8, "tenth": 10}  # after "one": else a place
_WORD = "|".join(sorted([*_VALUES, *_SCALES, *_PARTS], key=len, reverse=True))
_OPENS_WITH_ARTICLE = "|".join([*_SCALES, "half", "quarter"])
_WORDS = re.compile(
    rf"(?:minus |negative )?(?<!no )(?<!the )(?<!this )(?<!that )"
    rf"(?:an? (?={_OPENS_WITH_ARTICLE}))?\b(?:{_WORD})\b"
    rf"(?:(?: and an? | and | an? |-| )(?:{_WORD})\b)*"
    r"(?:(?<=\bone)[ -](?:third|fifth|eighth|tenth)\b)?"
)
_AND_PARTS = re.compile(r"(.+) and ((?:one|two|three|four|five)[ -][a-z]+)")
_DIGITS = re.compile(
    r"(?P<sign>(?<![\w.)])[-+] ?|minus |negative |\u8d1f)?"
    r"(?<![A-Za-z0-9_.^])(?<!\^ )(?<!\^-)"  # no digits of a name such as R2, of a power: m^2
    r"(?:(?P<root>(?:[0-9]++(?:\.[0-9]++)? ?)?\u221a ?\(?[0-9]++(?:\.[0-9]++)?)"
    r"|(?P<european>[0-9]{1,3}(?:(?:\.[0-9]{3})++,[0-9]++|(?:\.[0-9]{3}){2,}+(?![0-9])))"
    r"|(?P<grouped>(?:[0-9]{1,3}(?:(?:,[0-9]{3})++|(?:[ '][0-9]{3})++(?:,[0-9]{1,2}(?![0-9,]))?)"
    r"|[0-9]{1,2}(?:,[0-9]{2}){1,4},[0-9]{3})(?![0-9])(?:\.[0-9]++)?)"
    r"|(?P<mixed>[0-9]++ [0-9]++/[0-9]++)"
    r"|(?P<plain>[0-9]++(?:[.,][0-9]++)?|\.[0-9]++))"
    r"(?P<exponent>e[-+]?[0-9]++| ?[x*] ?10 ?\^ ?[-+]?[0-9]++)?"
    r"(?:\^(?P<power>-?[0-9]{1,2}+)|(?P<over> ?/ ?[0-9]++(?:\.[0-9]++)?)"
    r"|(?P<scale>k\b|[\u767e\u5343\u4e07\u4ebf]| (?:dozen|hundred|thousand|million|billion)\b)"
    r"|(?P<half> and a half\b))?"
    r"(?!(?:st|nd|rd|th)\b)"
)
_UNITS = "|".join(SMALL[:10])
_POINT = re.compile(rf"\b(?:{_WORD})(?:[ -](?:{_WORD}))* point (?:{_UNITS})(?: (?:{_UNITS}))*\b")
_PERCENT = "\u767e\u5206\u4e4b"  # 5 %, said before the 5
_ONES = "\u96f6\u4e00\u4e8c\u4e09\u56db\u4e94\u516d\u4e03\u516b\u4e5d"
_CHINESE_VALUES = {sign: value for value, sign in enumerate(_ONES)} | {"\u4e24": 2}
_CHINESE_SCALES = {"\u5341": 10} | _CHINESE_MARKS
_CHINESE_SIGNS = "".join([*_CHINESE_VALUES, *_CHINESE_SCALES])
_CHINESE = re.compile(
    f"(?P<sign>\u8d1f)?(?P<whole>[{_CHINESE_SIGNS}]+)(?:\u70b9(?P<rest>[{_ONES}]+))?"
)

Found = tuple[str, tuple[int, int]]  # a number in digits, and where it stands


def digits_for_words(text: str, written: Callable[[str], str] = str) -> str:
    """Returns a folded text with its numbers in digits, without marks between thousands.

    `written` says how a number is put there.
    """
    parts, place = [], 0
    for number, (start, end) in find_numbers(text):
        parts += [text[place:start], written(number)]
        place = end
    return "".join([*parts, text[place:]])


def find_numbers(text: str) -> list[Found]:
    """Returns the numbers of a folded text in small letters, and where each stands."""
    text = text.replace(_PERCENT, " " * len(_PERCENT))
    found = [(_of_digits(match), match.span()) for match in _DIGITS.finditer(text)]
    found += [(_of_point(match.group()), match.span()) for match in _POINT.finditer(text)]
    taken = [span for _, span in found]
    words = [(_of_words(match.group()), match.span()) for match in _WORDS.finditer(text)]
    words += [(_of_chinese(match), match.span()) for match in _CHINESE.finditer(text)]
    if taken:  # "7.2 million" has its words in it
        inside = {place for start, end in taken for place in range(start, end)}
        words = [word for word in words if word[1][0] not in inside]
    return sorted(found + words, key=lambda number: number[1])


def _of_digits(match: re.Match[str]) -> str:
    part = match.groupdict()
    value = _written(part)
    if part["exponent"]:
        value += "e" + re.sub(r"[x*] ?10|[ ^e]", "", part["exponent"])
    factor = 1.0
    if part["over"]:
        lower = float(part["over"].strip(" /"))
        factor = 1 / lower if lower else 1.0
    if part["scale"]:
        factor = _MARKS[part["scale"].strip()]
    if factor != 1.0 or part["power"] or part["half"]:
        number = float(value) ** int(part["power"] or 1) * factor
        value = plain(number + (0.5 if part["half"] else 0.0))
    return ("-" if (part["sign"] or "+").strip() not in ("+", "") else "") + value


def _written(part: dict[str, str | None]) -> str:
    """Returns the digits of a number before its exponent, power or scale."""
    if part["root"]:
        factor, _, inner = part["root"].partition("\u221a")
        return plain(float(factor or 1) * float(inner.strip(" (")) ** 0.5)
    if part["european"]:
        return part["european"].replace(".", "").replace(",", ".")
    if part["grouped"]:
        marks = "[ ']" if re.search("[ ']", part["grouped"]) else ","
        return re.sub(marks, "", part["grouped"]).replace(",", ".")
    if part["mixed"]:
        whole, over = part["mixed"].split(" ")
        upper, lower = map(float, over.split("/"))
        return plain(float(whole) + (upper / lower if lower else 0.0))
    return (part["plain"] or "").replace(",", ".")


def _of_point(text: str) -> str:
    """Returns "three point one four" in digits."""
    whole, _, rest = text.partition(" point ")
    return f"{_of_words(whole)}.{''.join(str(_VALUES[word]) for word in rest.split())}"


def _of_words(text: str) -> str:
    mixed = _AND_PARTS.fullmatch(text)
    if mixed and re.split("[ -]", mixed[2])[-1] in _PARTS:  # "two and three quarters"
        return plain(float(_of_words(mixed[1])) + float(_of_words(mixed[2])))
    words = [word for word in re.findall("[a-z]+", text) if word not in ("a", "an", "and")]
    if words[-1] in _ONE_PART:
        return plain((-1 if words[0] in ("minus", "negative") else 1) / _ONE_PART[words[-1]])
    sign = "-" if words[0] in ("minus", "negative") else ""
    total, current = 0.0, 0.0
    for word in words[bool(sign) :]:
        if word in _PARTS:
            current = _with_part(current, text, word)
        elif word in _SCALES:
            current = (current or 1) * _SCALES[word]
            if _SCALES[word] >= 1000:
                total, current = total + current, 0.0
        else:
            value = _VALUES[word]
            room = 100 if value >= 10 else 10
            if current % room or (total + current and current == 0 and total % 1000):
                break  # two numbers, one after the other
            current += value
    return sign + plain(total + current)


def _with_part(current: float, text: str, word: str) -> float:
    """Returns "two and a half", "two thirds", "half" with what stood before."""
    if re.search(rf"and an? {word}\b", text):
        return current + 1 / _PARTS[word]
    return (current or 1) / _PARTS[word]


def _of_chinese(match: re.Match[str]) -> str:
    """Returns a Chinese number in digits."""
    total, below, ones = 0, 0, 0  # `below` the next ten thousand
    for sign in match["whole"]:
        scale = _CHINESE_SCALES.get(sign)
        if scale is None:
            ones = _CHINESE_VALUES[sign]
        elif scale < 10**4:
            below, ones = below + max(ones, 1) * scale, 0
        else:
            total, below, ones = (total + max(below + ones, 1)) * scale, 0, 0
    rest = "".join(str(_CHINESE_VALUES[sign]) for sign in match["rest"] or "")
    return f"{'-' if match['sign'] else ''}{total + below + ones}{'.' if rest else ''}{rest}"


def plain(value: float) -> str:
    """Returns a number in digits, whole ones without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
