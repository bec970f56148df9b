"""What came of one question, the same record for everyone who asks."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from vreason_jax.decoding.driver import text_length
from vreason_jax.decoding.state import TokenTrace
from vreason_jax.output.answer import answer_span, extract_answer
from vreason_jax.output.trace import build_trace
from vreason_jax.prompt.tokenizer import PromptTokenizer, TextStream

END, LENGTH, NOT_FINITE = "end", "length", "not_finite"


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """A text, and the tokens that it was written in."""

    text: str
    tokens: TokenTrace  # NumPy [T]; the token that ended it is the last
    ended: str  # END: by an end-of-sequence token; LENGTH: at the token budget; NOT_FINITE
    answer_probability: float | None  # of the tokens in the answer tags; None without any
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # the trace's other fields

    @property
    def answer(self) -> str | None:
        """What stands in the answer tags."""
        return extract_answer(self.text)

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by stage; compilation stands by itself."""
        return self.facts["seconds"]

    @functools.cached_property
    def trace(self) -> dict[str, Any]:
        """The trace file's fields, plain values."""
        return build_trace(self.arrays(), text=self.text, **self.facts)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the tokens' facts [T] by their names in the trace."""
        arrays = dict(self.tokens._asdict())
        arrays.pop("value_norm")
        return {"token_ids": arrays.pop("token"), **arrays}


def build_answer(trace: TokenTrace, tokenizer: PromptTokenizer, eos_ids: tuple[int, ...]) -> Answer:
    """Returns the answer of one row's trace [T], which may go on behind its end."""
    length = text_length(trace, eos_ids)
    ids = trace.token[:length]
    if length == len(trace.token):
        ended = LENGTH
    else:
        ended = END if trace.token[length] in eos_ids else NOT_FINITE
    return Answer(
        text=tokenizer.decode(ids),
        tokens=TokenTrace(*(values[: length + 1] for values in trace)),
        ended=ended,
        answer_probability=answer_probability(tokenizer, ids, trace.logprob[:length]),
    )


def majority(answers: list[Answer]) -> str | None:
    """Returns what most answers say in their tags, of equals the first; None where none has any."""
    said = [answer.answer for answer in answers if answer.answer is not None]
    return max(said, key=said.count, default=None)


def answer_probability(
    tokenizer: PromptTokenizer, ids: np.ndarray, logprob: np.ndarray
) -> float | None:
    """Returns the product of the probabilities of the tokens that write the answer.

    Those are the tokens of which a part lies inside the first answer tags, white space at their
    ends apart. None without closed tags, or with nothing in them.
    """
    span = answer_span(tokenizer.decode(ids))
    if span is None or span[0] == span[1]:
        return None
    stream = TextStream(tokenizer)
    # A token that only begins a character adds no text yet: it begins where the character will.
    ends = np.cumsum([len(stream.push([token])) for token in ids.tolist()])
    begins = np.concatenate([[0], ends[:-1]])
    inside = (begins < span[1]) & ((begins >= span[0]) | (ends > span[0]))
    return float(np.exp(logprob[inside].astype(np.float64).sum()))
