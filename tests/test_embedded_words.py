"""The embedded checkpoint that reads clips in words, and V-Reason at its question's values."""

import numpy as np
import pytest

import vreason_jax
from vreason_jax.output.answer import extract_answer
from vreason_jax.shapes.description import question_in_words
from vreason_jax.shapes.sample import sample_text

ASKED = [sample_text("test", index) for index in range(16)]


@pytest.fixture(scope="module")
def reasoner():
    return vreason_jax.load("shapes-words", mesh="data=1", controller__placement="question")


def answers(reasoner, texts, **keys):
    return reasoner.generate_batch([(None, text) for text in texts], **keys)


def right(given):
    pairs = zip(given, ASKED, strict=True)
    return sum(extract_answer(g.text) in (asked.answer, asked.answer_words) for g, asked in pairs)


def test_it_answers_about_clips_in_words_and_not_without_them(reasoner):
    told = answers(reasoner, map(question_in_words, ASKED), controller__objective="none")
    untold = answers(reasoner, [asked.question for asked in ASKED], controller__objective="none")
    # Of 240 questions it answers 65 %; of these, 11.
    assert right(told) >= 10 and right(untold) <= 7, (right(told), right(untold))


def test_the_questions_values_steer_each_answer_by_itself_and_a_rate_of_0_none(reasoner):
    texts = [question_in_words(asked) for asked in ASKED[:3]]
    plain = answers(reasoner, texts, controller__objective="none")
    still = answers(reasoner, texts, controller__learning_rate=0.0)
    steered = answers(reasoner, texts, controller__learning_rate=0.1)
    (alone,) = answers(reasoner, texts[1:2], controller__learning_rate=0.1)
    for a, b, c in zip(plain, still, steered, strict=True):
        np.testing.assert_allclose(a.trace["entropy"], b.trace["entropy"], atol=1e-5)
        assert any(c.trace["updated"]) and a.trace["entropy"] != c.trace["entropy"]
    count = min(32, len(alone.trace["entropy"]))
    # Rows of a batch sum float32 in another order; the delta moves entropies by far more.
    np.testing.assert_allclose(
        alone.trace["entropy"][:count], steered[1].trace["entropy"][:count], atol=1e-3
    )
