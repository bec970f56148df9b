"""The answer proper, taken out of the text that reasons towards it."""

import re

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def extract_answer(text: str) -> str | None:
    """Returns what stands in the first closed pair of answer tags, stripped; None without one."""
    match = _ANSWER.search(text)
    return match.group(1).strip() if match else None
