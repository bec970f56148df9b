"""One answer of one method and seed, as the evaluation records it."""

import dataclasses

import numpy as np

from vreason_jax.decoding.driver import text_length
from vreason_jax.decoding.state import TokenTrace
from vreason_jax.output.answer import answer_span
from vreason_jax.prompt.tokenizer import PromptTokenizer, TextStream


@dataclasses.dataclass(frozen=True)
class Reply:
    """What came of one question under one method and seed."""

    text: str
    trace: TokenTrace  # NumPy [T], the end-of-sequence token last
    truncated: bool  # no end-of-sequence token within the token budget
    answer_probability: float | None  # of the tokens in the answer tags; None without any

    @property
    def token_ids(self) -> np.ndarray:
        """The tokens, int32 [T]."""
        return self.trace.token


def build_reply(trace: TokenTrace, tokenizer: PromptTokenizer) -> Reply:
    """Returns the Reply of a trace [T] that may go on after the end-of-sequence token."""
    length = text_length(trace.token, tokenizer.ids.eos)
    return Reply(
        text=tokenizer.decode(trace.token[:length]),
        trace=TokenTrace(*(values[: length + 1] for values in trace)),
        truncated=length == len(trace.token),
        answer_probability=answer_probability(
            tokenizer, trace.token[:length], trace.logprob[:length]
        ),
    )


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
