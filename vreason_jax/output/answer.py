"""The answer proper, extracted from the reasoning around it."""

import re

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def extract_answer(text: str) -> str | None:
    """Returns the stripped content of the first closed pair of answer tags, or None."""
    span = answer_span(text)
    return text[slice(*span)] if span else None


def answer_span(text: str) -> tuple[int, int] | None:
    """Returns the start and end of that answer in `text`, or None."""
    match = _ANSWER.search(text)
    if not match:
        return None
    inside = match.group(1)
    begin = match.start(1) + len(inside) - len(inside.lstrip())
    return begin, begin + len(inside.strip())
