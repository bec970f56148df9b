"""The numbers of a text in the unit that its question asks for: "250 cm" in meters is 2.5."""

import functools
import re

from vreason_jax.evaluation.scoring.folding import fold
from vreason_jax.evaluation.scoring.numbers import plain

_PREFIXES = {"milli": 1e-3, "m": 1e-3, "centi": 1e-2, "c": 1e-2, "kilo": 1e3, "k": 1e3, "": 1.0}
_OTHERS = {  # by their beginnings: what each measures, and how much of that
    **{"pe": ("share", 0.01), "%": ("share", 0.01), "pr": ("share", 1.0), "fr": ("share", 1.0)},
    **{"mi": ("s", 60.0), "h": ("s", 3600.0), "f": ("m", 0.3048), "i": ("m", 0.0254)},
}
_UNIT = (
    r"(?P<square>(?:square|sq\.?) ?)?"
    r"(?:(?P<other>min(?:ute)?s?|hours?|h|feet|foot|ft|inch(?:es)?|percent|%)"
    r"|(?P<prefix>milli|centi|kilo|[mck]|)"
    r"(?P<base>(?:met(?:er|re)|gram|sec(?:ond)?|amp(?:ere)?|volt|joule|watt|newton)s?|[mgsavjwn]))"
    r"(?P<power>\^?2)?(?![\w/^]| per\b)"
)
_ASKED = re.compile(
    r"\b(?P<share>probability|proportion|fraction)\b(?!.*(?:percent|%))|"
    rf"\b(?:in|how many|what|which) \(?(?=[a-z]{{2}}|[a-z]\)){_UNIT}"
)
_MEASURE = re.compile(
    r"(?<![\w.])(?P<number>[0-9]++(?:\.[0-9]++)?)"
    rf"(?=(?:(?: ?-|,? to| and| or) ?[0-9.]++)?[ -]?(?:an? )?{_UNIT})"
)
_COMPOUNDS = tuple(  # "1 hour and 30 minutes", "1 m 20 cm"
    (
        re.compile(
            rf"(?<![\w:.])([0-9]{{1,3}}) ?(?:{large}),?(?: and)? ([0-9]{{1,2}})(?= ?{small})"
        ),
        of,
    )
    for large, small, of in (
        ("h(?:ours?|rs?)?", "min", 60),
        ("min(?:ute)?s?", "s", 60),
        ("feet|foot|ft", r"in(?:ch(?:es)?)?\b", 12),
        ("m(?:et(?:er|re)s?)?", "c(?:m|enti)", 100),
    )
)
_CLOCK = re.compile(r"(?<![\w:.])([0-9]{1,3}):([0-5][0-9])(?![\w:])")  # 0:12


def asked_unit(question: str) -> tuple[str, float]:
    """Returns what a question asks to be measured, and the size of the unit it asks for.

    What is measured is named by its base unit: "" for a count.
    """
    asked = _ASKED.search(fold(question).lower())
    return _measured(asked) if asked else ("", 0.0)


def in_unit(text: str, kind: str, factor: float) -> str:
    """Returns a folded text with its measures of a kind in one unit, as `asked_unit` has both.

    Where the text has that unit itself, measures in others are left out, as are times.
    """
    for pattern, of in _COMPOUNDS if kind in ("s", "m") else ():
        text = pattern.sub(functools.partial(in_smaller, of=of), text)
    told = any(_measured(match) == (kind, factor) for match in _MEASURE.finditer(text))
    text = _CLOCK.sub(" " if told or (kind, factor) != ("s", 1) else in_smaller, text)

    def written(match: re.Match[str]) -> str:
        own, size = _measured(match)
        if own != kind or size == factor:
            return match.group()
        return " " if told else plain(round(float(match["number"]) * size / factor, 6))

    return _MEASURE.sub(written, text)


def measures(text: str) -> dict[int, str]:
    """Returns what the numbers of a text with a unit measure, by the numbers' places."""
    return {match.start(): _measured(match)[0] for match in _MEASURE.finditer(text)}


def _measured(match: re.Match[str]) -> tuple[str, float]:
    """Returns what a unit measures, named by its base unit, and its size in that."""
    part = match.groupdict()
    if name := part.get("share") or part["other"]:
        kind, size = next(value for begin, value in _OTHERS.items() if name.startswith(begin))
    else:
        kind, size = part["base"][0], _PREFIXES[part["prefix"]]
    return (f"{kind}^2", size**2) if part["square"] or part["power"] else (kind, size)


def in_smaller(match: re.Match[str], of: int = 60) -> str:
    """Returns a match's two numbers, as of minutes and seconds, in the smaller of their units."""
    return str(of * int(match[1]) + int(match[2]))
