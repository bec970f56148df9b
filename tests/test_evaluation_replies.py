"""Replies in the manners of many models, each with the answer that a person reads in it."""

import dataclasses
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replies_to_choices import CHOICES
from replies_to_others import MEASURES, NUMBERS, OPEN, RESTATED, YES_NO

from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, NUMBER, Record
from vreason_jax.evaluation.scoring import official
from vreason_jax.evaluation.scoring.number_answer import number_in
from vreason_jax.evaluation.scoring.numeric import parse
from vreason_jax.evaluation.scoring.protocol import load_protocol
from vreason_jax.evaluation.scoring.score import lenient, score

THINGS = ("A. red cup", "B. blue hat", "C. green box", "D. blue hat on a box")


def asked(kind=CHOICE, gold="B", options=THINGS, benchmark="mmvu", task="t"):
    return Record(
        "1", benchmark, "v.mp4", "What?", options if kind == CHOICE else (), gold, kind, task
    )


@pytest.mark.parametrize("options", CHOICES, ids=lambda options: options[0])
def test_the_letter_that_a_person_reads(options):
    found = {text: lenient(text, asked(options=options)) for text in CHOICES[options]}
    assert found == CHOICES[options]


def test_the_number_that_a_person_reads():
    found = {text: parse(lenient(text, asked(NUMBER, "5"))) for text in NUMBERS}
    assert found == pytest.approx(NUMBERS)


@pytest.mark.parametrize("question", MEASURES)
def test_the_number_in_the_unit_that_the_question_asks_for(question):
    record = dataclasses.replace(asked(NUMBER, "5"), problem=question)
    found = {text: parse(lenient(text, record)) for text in MEASURES[question]}
    assert found == pytest.approx(MEASURES[question])


def test_the_open_answer_that_a_person_reads():
    official_rule = load_protocol("official")
    wrong = [
        (gold, text)
        for gold, text, right in OPEN
        if score(asked(FREE, gold), text, official_rule).score != right
    ]
    assert not wrong


def test_the_yes_or_no_that_a_person_reads():
    record = asked(options=("A. yes", "B. no"))
    letters = {"yes": "A", "no": "B", "": ""}
    found = {text: lenient(text, record) for text in YES_NO}
    assert found == {text: letters[said] for text, said in YES_NO.items()}


def test_a_question_said_again_as_a_statement_is_a_yes_or_no():
    record = asked(options=("A. yes", "B. no"))
    record = dataclasses.replace(record, problem="Is the water level rising?\nAnswer yes or no:")
    letters = {"yes": "A", "no": "B", "": ""}
    found = {text: lenient(text, record) for text in RESTATED}
    assert found == {text: letters[said] for text, said in RESTATED.items()}
    negative = dataclasses.replace(record, problem="Is the water level not rising?")
    assert lenient("The water level is not rising.", negative) != "A"


def test_what_was_cut_off_holds_no_answer_but_in_a_block():
    for protocol in ("video_r1", "official", "shapes"):
        for text in ("<think>It is B", "<Thinking>Option B", "B. blue hat falls from"):
            result = score(asked(), text, load_protocol(protocol), truncated=True)
            assert (result.score, result.score_lenient, result.answered) == (0, 0, False)
        for text in ("<think>It is B", "<THINK>\nThe answer is B.", "<thinking>Option B looks"):
            result = score(asked(), text, load_protocol(protocol))
            assert (result.score, result.score_lenient, result.answered) == (0, 0, False)
        block = score(asked(), "<answer>B</answer> and", load_protocol(protocol), truncated=True)
        assert block.score == 1


@pytest.mark.parametrize(
    "part",
    ["<answer>", "</answer>", "<answer></answer>", "<think>", "</think>", " ", "1", "1,", "1 ",
     "A ", "A, ", "answer ", "(", "\\boxed{", "\\frac{", "not ", "is ", "one ", "B is not ", "*",
     "so ", "="],
)  # fmt: skip
def test_a_reply_that_repeats_itself_is_read_at_once(part):
    began = time.process_time()
    for record in (asked(), asked(NUMBER, "5"), asked(FREE, "cup")):
        score(record, part * (10**5 // len(part)), load_protocol("official"))
    assert time.process_time() - began < 20


@settings(max_examples=25, deadline=None)
@given(st.text())
def test_any_text_is_read_without_an_error(text):
    for record in (asked(), asked(NUMBER, "5"), asked(FREE, "cup"), asked(options=())):
        for protocol in ("video_r1", "official"):
            assert 0 <= score(record, text, load_protocol(protocol)).score_lenient <= 1


@given(st.floats(-1e9, 1e9).map(lambda value: round(value, 3)))
def test_a_number_is_read_however_its_thousands_are_marked(value):
    for written in (f"{value:,}", f"{value:,}".replace(",", " "), f"it is {value} m", repr(value)):
        assert float(number_in(written)) == value


@given(st.sampled_from("ABCD"), st.sampled_from(("The answer is {}.", "({})", "{}", "Answer: {}")))
def test_a_letter_is_read_in_every_form_and_width(letter, form):
    for shown in (letter, letter.lower(), chr(ord(letter) + 0xFEE0)):
        assert lenient(form.format(shown), asked()) == letter


def test_the_authors_rules_at_their_odd_ends():
    regression = asked("regression", "10", benchmark="vsibench")
    for text, value in (("9", 0.9), ("12,5", 0), ("10,", 0), ("10.", 1), ("10 chairs", 1)):
        assert official.credit(official.answer(text, regression), regression) == pytest.approx(
            value
        )
    caption = asked(benchmark="tempcompass", task="caption_matching")
    assert [official.answer(text, caption) for text in ("1", "2.", "Option 2")] == ["A", "B", "B"]
