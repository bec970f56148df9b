"""Finds the answer in a reply: what stands in its answer tags."""

OPENING, CLOSING = "<answer>", "</answer>"
_THOUGHT, _END_OF_THOUGHT = "<think>", "</think>"


def extract_answer(text: str) -> str | None:
    """Returns the stripped content of the first closed pair of answer tags, or None.

    Of a reply whose reasoning began in the prompt, as that of models which always think does, only
    what follows the reasoning counts.
    """
    span = answer_span(text)
    return text[slice(*span)] if span else None


def answer_span(text: str) -> tuple[int, int] | None:
    """Returns where the answer of `extract_answer` starts and ends in `text`, or None."""
    before, _, after = text.partition(_END_OF_THOUGHT)
    begin = len(text) - len(after) if after and _THOUGHT not in before else 0
    start = text.find(OPENING, begin) + len(OPENING)
    end = text.find(CLOSING, start)
    # Where nothing closes the first tag nothing closes a later one: no search goes over them all.
    if start < len(OPENING) or end < 0:
        return None
    inside = text[start:end]
    begin = start + len(inside) - len(inside.lstrip())
    return begin, begin + len(inside.strip())
