"""Replies cut out of a trace, and how likely the answer in them was."""

from types import SimpleNamespace

import numpy as np
import pytest

from vreason_jax.decoding.state import TokenTrace
from vreason_jax.evaluation.reply import answer_probability, build_reply

EOS = 0
TEXTS = {
    1: b"<answer>", 2: b"B", 3: b"</answer>", 4: b"r>", 6: b"</", 7: b"answe",
    8: b"<", 9: b"\xe6\x97", 10: b"\xa5", 11: b" B<",
}  # fmt: skip


class Words:
    """A tokenizer whose tokens are those of TEXTS, and nothing."""

    ids = SimpleNamespace(eos=(EOS,))

    def text_bytes(self, ids):
        return b"".join(TEXTS.get(int(i), b"") for i in ids)

    def decode(self, ids):
        return self.text_bytes(ids).decode(errors="replace")


def probability(ids):
    """Token number n of the text has probability 1 / (n + 2)."""
    return answer_probability(Words(), np.array(ids), -np.log(np.arange(len(ids)) + 2.0))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2, 3], 1 / 3),
        ([2, 1, 2, 2, 3, 2], 1 / 4 / 5),
        ([8, 7, 4, 2, 6, 7, 4], 1 / 5),  # < answe r> B </ answe r>
        ([8, 7, 4, 11, 3], 1 / 5),  # white space and more in the answer's token
        ([1, 9, 10, 3], 1 / 3 / 4),  # one character in two tokens
        ([1, 2, 3, 1, 2, 2, 3], 1 / 3),  # the first answer
        ([1, 3], None),
        ([1, 2], None),
        ([], None),
    ],
)
def test_the_answer_is_as_likely_as_the_tokens_that_write_it(ids, expected):
    got = probability(ids)
    assert got == (None if expected is None else pytest.approx(expected))


def trace(tokens):
    tokens = np.array(tokens, np.int32)
    numbers = np.linspace(-1, 0, len(tokens), dtype=np.float32)
    return TokenTrace(tokens, *[numbers] * 8)


def test_a_reply_ends_with_its_end_token_which_is_no_text():
    reply = build_reply(trace([1, 2, 3, EOS, 2, EOS]), Words())
    assert reply.text == "<answer>B</answer>"
    assert reply.token_ids.tolist() == [1, 2, 3, EOS]
    assert {len(values) for values in reply.trace} == {4}
    assert not reply.truncated
    assert reply.answer_probability == pytest.approx(np.exp(-0.8))


def test_a_reply_without_an_end_token_is_truncated():
    reply = build_reply(trace([1, 2]), Words())
    assert reply.truncated and reply.answer_probability is None
    assert reply.token_ids.tolist() == [1, 2] and reply.text == "<answer>B"
