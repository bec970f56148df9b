"""HTML and SVG as nested calls, which escape plain text and close every tag."""

import html
import math
import re
from collections.abc import Iterable

_VOID = {"meta", "br"}
DASH = "–"  # where there is no number
MINUS = "−"


class Markup(str):
    """Text that is already HTML."""


Child = str | None | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """Returns an element; escapes plain text, omits None, flattens lists.

    `class_` means class; an underscore inside a name means a dash. Numbers keep two decimals.
    Raises ValueError for a number that is not finite.
    """
    words = "".join(
        f' {_name(key)}="{_value(v)}"' for key, v in attributes.items() if v is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{words}>")
    return Markup(f"<{name}{words}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Returns children one after the other; escapes those that are not markup."""
    parts = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(html.escape(child))
        elif child is not None:
            parts.append(join(*child))
    return Markup("".join(parts))


def keep_units(words: Child) -> Child:
    """Returns words with units that stay on the line of their number: "5 %", "decode, s"."""
    if isinstance(words, Markup) or not isinstance(words, str):
        return words
    return re.sub(r" (?=%)|(?<=,) (?=\S{1,3}$)", "\N{NO-BREAK SPACE}", words)


def number(value: float) -> str:
    """Returns a coordinate with at most two decimals; raises ValueError unless it is finite."""
    if not math.isfinite(value):
        raise ValueError(f"expected a finite coordinate, got {value}")
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def decimal(value: float | None, digits: int = 1, *, sign: bool = False) -> str:
    """Returns a number for people, with a real minus sign; a dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")  # neither -0.0 nor +0.0
    return text.replace("-", MINUS)


def small(value: float | None) -> str:
    """Returns a number, perhaps tiny, with three significant digits: "0.0123", "1.2e−05"."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:.3g}".replace("-", MINUS)


def percent(share: float | None) -> str:
    """Returns a share (0..1) in percent, without the sign, as the heading names the unit."""
    return decimal(None if share is None else 100 * share)


def interval(low: float | None, high: float | None) -> str:
    """Returns "low to high", of shares in percent or points."""
    if low is None or high is None:
        return DASH
    return f"{percent(low)} to {percent(high)}"


def p_value(p: float | None) -> str:
    """Returns a p value with two significant digits."""
    if p is None:
        return DASH
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def shorten(label: str, size: int) -> str:
    """Returns a label of at most `size` characters; the middle is cut out.

    In "model · method" it shortens the model.
    """
    if len(label) <= size:
        return label
    model, middle, method = label.rpartition(" · ")
    room = size - len(middle) - len(method) - 1
    if model and room >= 3:
        return f"{model[:room]}…{middle}{method}"
    return f"{label[: size // 2]}…{label[size // 2 + 1 - size :]}"


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return html.escape(value) if isinstance(value, str) else number(value)
