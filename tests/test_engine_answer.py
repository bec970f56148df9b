"""Answers cut out of a trace, and how likely what stands in their tags was."""

from types import SimpleNamespace

import numpy as np
import pytest

from vreason_jax.decoding.state import TokenTrace
from vreason_jax.engine import answer as answers
from vreason_jax.engine.answer import answer_probability, build_answer, majority

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


def trace(tokens, **fields):
    tokens = np.array(tokens, np.int32)
    numbers = np.linspace(-1, 0, len(tokens), dtype=np.float32)
    return TokenTrace(tokens, *[numbers] * 9)._replace(**fields)


def test_an_answer_ends_with_its_end_token_which_is_no_text():
    answer = build_answer(trace([1, 2, 3, EOS, 2, EOS]), Words(), (EOS,))
    assert (answer.text, answer.answer) == ("<answer>B</answer>", "B")
    assert answer.tokens.token.tolist() == [1, 2, 3, EOS]
    assert {len(values) for values in answer.tokens} == {4}
    assert answer.ended == answers.END
    assert answer.answer_probability == pytest.approx(np.exp(-0.8))


def test_an_answer_without_an_end_token_ends_at_its_length():
    answer = build_answer(trace([1, 2]), Words(), (EOS,))
    assert answer.ended == answers.LENGTH
    assert answer.answer is answer.answer_probability is None
    assert answer.tokens.token.tolist() == [1, 2] and answer.text == "<answer>B"
    whole = build_answer(trace([1, 2, 3, EOS, 2]), Words(), ())
    assert whole.ended == answers.LENGTH and len(whole.tokens.token) == 5


def test_a_token_that_is_not_finite_ends_an_answer_whose_text_so_far_is_kept():
    entropy = np.array([1, 1, np.nan, 1], np.float32)
    answer = build_answer(trace([1, 2, 3, EOS], entropy=entropy), Words(), (EOS,))
    assert (answer.text, answer.ended) == ("<answer>B", answers.NOT_FINITE)
    assert len(answer.tokens.token) == 3


def test_the_majority_is_what_most_answers_say_and_of_equals_the_first():
    def said(*ids):
        return build_answer(trace([1, *ids, 3, EOS]), Words(), (EOS,))

    one, two, none = said(2), said(2, 2), build_answer(trace([2, EOS]), Words(), (EOS,))
    assert majority([one, two, two, none]) == "BB"
    assert majority([two, one]) == "BB"
    assert majority([none]) is majority([]) is None
