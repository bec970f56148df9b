"""The answer proper, taken out of the text that reasons towards it."""

import re

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def extract_answer(text: str) -> str | None:
    """Returns what stands in the first closed pair of answer tags, stripped; None without one."""
    span = answer_span(text)
    return text[slice(*span)] if span else None


def answer_span(text: str) -> tuple[int, int] | None:
    """Returns where that answer begins and ends in `text`; None without one."""
    match = _ANSWER.search(text)
    if not match:
        return None
    inside = match.group(1)
    begin = match.start(1) + len(inside) - len(inside.lstrip())
    return begin, begin + len(inside.strip())
