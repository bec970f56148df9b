"""Replies in the manners of many models, each with the answer that a person reads in it."""
# ruff: noqa: E501, RUF001 - replies stand as they were written, several on a line

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, NUMBER, Record
from vreason_jax.evaluation.scoring import official
from vreason_jax.evaluation.scoring.numeric import number_in, parse
from vreason_jax.evaluation.scoring.protocol import load_protocol
from vreason_jax.evaluation.scoring.score import lenient, score

THINGS = ("A. red cup", "B. blue hat", "C. green box", "D. blue hat on a box")
PLACES = ("A. left", "B. right", "C. front left", "D. back")

# reply -> letter; "" where it names none
CHOICES = {
    "B": "B", "b": "B", "B.": "B", "(B)": "B", "[B]": "B", "B)": "B", "'B'": "B", "“B”": "B",
    "‘b’": "B", "Ｂ": "B", "（Ｂ）": "B", "**B**": "B", "`B`": "B", "$B$": "B", r"\boxed{B}": "B",
    r"$\boxed{\text{B}}$": "B", r"\(\boxed{\mathrm{B}}\)": "B", r"\text{(B)}": "B", "B。": "B",
    "B, because it falls": "B", "Answer: B": "B", "Answer: b": "B", "answer: b": "B", "ANSWER: B": "B",
    "Answer:B": "B", "Answer - B": "B", "answer = C": "C", "The answer is B": "B", "The answer is (b).": "B",
    "The correct answer is B.": "B", "The correct answer is option B.": "B", "Final answer: **C**": "C",
    "The best answer is: (D) blue hat on a box": "D", "The answer would be D": "D", "Option B": "B",
    "option b": "B", "Option (C)": "C", "I choose C.": "C", "I would go with D.": "D", "b) blue hat": "B",
    "B. blue hat": "B", "B) blue hat": "B", "(B) blue hat": "B", "B: blue hat": "B", "B - blue hat": "B",
    "blue hat": "B", "A blue hat.": "B", "the green box": "C", "It is the red cup.": "A",
    "A blue hat on a box": "D", "答案是B": "B", "答案：C": "C", "答案为 D。": "D", "选B": "B", "选择C。": "C",
    "我选D": "D", "正确答案是（Ａ）": "A", "应该选B，因为帽子掉了": "B", "B是正确的": "B",
    "A is a red cup, so A is out. B is what falls.": "B", "It is not A but B.": "B",
    "A is wrong, C is wrong, D is wrong. B": "B", "The answer is A. No, wait: the answer is C.": "C",
    "So the answer is B, not A.": "B", "I would rule out A. Option C is wrong. So it is D.": "D",
    "Neither A nor C.": "", "A or B": "", "I cannot tell.": "", "": "", "E": "", "none of these": "",
    "<think>A? C?</think><answer>B</answer>": "B", "<think>A? C?</think>B": "B",
    "<think>A? C?</think>\n\nThe answer is B.": "B", "<answer>A</answer> wait, no: <answer>B</answer>": "B",
    "<think>say <answer>A</answer> or so</think><answer>B</answer>": "B",
    "<think>so <answer>B</answer></think>": "B", "<think>It could be A or B. Option B looks": "",
    "<think>The hat <answer>B</answer>": "B", "<answer>B": "B", "<answer>\nB\n</answer>\n": "B",
    "<answer></answer>B": "B", "<answer>(B) blue hat</answer>": "B", "<answer>Option B</answer>": "B",
    "The hat falls, therefore C": "C", "Thus, B is correct.": "B", "C is the best choice.": "C",
    "Looking at the frames, a green box falls.": "C", "D is correct because it falls": "D",
    "It's B": "B", "it's (c)": "C", "Réponse : answer: C": "C", "I think the answer is B because A stays.": "B",
    "B\n\nThe blue hat falls.": "B", "B.\nExplanation: A stays.": "B", "The answer is blue hat.": "B",
}  # fmt: skip
TURNS = {
    "The lamp is to the left.": "A", "front left": "C", "Front-left": "C", "to your front-left": "C",
    "It is at the back": "D", "The answer is front left": "C", "not left but right": "B",
}  # fmt: skip
# reply -> its value; None for none
NUMBERS = {
    "5": 5, "5.0": 5, "５": 5, "five": 5, "Five.": 5, "twenty-one": 21, "twenty one chairs": 21,
    "a dozen": 12, "two hundred and five": 205, "one thousand": 1000, "minus three": -3, "-3": -3,
    "−2.83": -2.83, "–4": -4, "1,000": 1000, "7 243 000": 7243000, "7{,}243{,}000": 7243000,
    "7'243": 7243, "1.234,5": 1234.5, "12,5": 12.5, "1e3": 1000, "1.5 × 10^3": 1500,
    r"1.5 \times 10^{3}": 1500, "283/100": 2.83, r"\frac{283}{100}": 2.83, r"$\dfrac{1}{4}$": 0.25,
    "1/4": 0.25, "2 1/2": 2.5, "2½": 2.5, "½": 0.5, "three and a half": 3.5, "7.2 million": 7.2e6,
    "10 m^2": 10, "10 m²": 10, "10 m2": 10, "about 10 square meters": 10, "~10": 10, "≈ 10 m": 10,
    "约10米": 10, "答案是2.83": 2.83, "答案：３": 3, "三把椅子": 3, "十二": 12, "共5个": 5,
    "There are 10 chairs in 2 rooms.": 10, "2.83, since 4/1.41": 2.83, "It equals 2.83 [1]": 2.83,
    "3 + 2 = 5": 5, "I count 3, then 2, so the answer is 5.": 5, "3 here and 2 there: 5 in all": 5,
    "The room R2 has 4 lamps": 4, "Answer: 5 chairs": 5, "The answer is five.": 5, "**5**": 5,
    r"\boxed{5}": 5, r"\[ x = 5 \]": 5, "x=5": 5, "<answer>5 of 7</answer>": 5, "50%": 50, r"50\%": 50,
    "$3.50": 3.5, "$1,200": 1200, "<answer>3</answer> no, <answer>4</answer>": 4,
    "<think>9</think> It must be four": 4, "<think>I see 9 or": None, "none": None, "no one": None,
    "": None, "many": None, "the 2nd floor has 4 doors": 4, ".5": 0.5, "3m": 3, "3-4": 3, "5.": 5,
    "Therefore, 6": 6, "a total of 8 tables": 8, "１２．５": 12.5, "10−12": 10, "zero": 0,
}  # fmt: skip
# gold, reply -> right
OPEN = {
    ("depth-first search", "depth first search"): 1, ("El Niño", "El Nino"): 1,
    ("El Nin\u0303o", "It is El Niño."): 1, ("six", "6"): 1, ("6", "six of them"): 1, ("six", "sixteen"): 0,
    ("21,000", "21 000"): 1, ("shoring", r"\boxed{shoring}"): 1, ("“blind spot”", "the 'blind spot'"): 1,
    ("wind's force", "the wind’s force"): 1, ("Depth-First Search (DFS)", "DFS"): 1, ("2", "2.83"): 0,
    ("blind spot", "a spot that is blind"): 0, ("microspheres", "<think>It could be microspheres or"): 0,
    ("X-ray", "Ｘ ray"): 1, ("0.50", "1/2"): 1,
}  # fmt: skip
YES_NO = {
    "Yes": "yes", "yes.": "yes", "Yes。": "yes", "yes,it is": "yes", "Yes—it is": "yes", "Yes；": "yes",
    "Yes.The man": "yes", "No.": "no", "no, it rises": "no", "**No**": "no", r"\boxed{No}": "no", "是": "yes",
    "不是": "no", "The answer is no.": "no", "Answer: Yes": "yes", "<answer>Yes": "yes", "No doubt: yes": "yes",
    "<think>yes or no? it may be yes": "", r"\text{Yes}": "yes", "True": "yes", "Nope": "no",
}  # fmt: skip


def asked(kind=CHOICE, gold="B", options=THINGS, benchmark="mmvu", task="t"):
    return Record(
        "1", benchmark, "v.mp4", "What?", options if kind == CHOICE else (), gold, kind, task
    )


@pytest.mark.parametrize("text", CHOICES)
def test_the_letter_that_a_person_reads(text):
    assert lenient(text, asked()) == CHOICES[text]


@pytest.mark.parametrize("text", TURNS)
def test_the_place_that_a_person_reads(text):
    assert lenient(text, asked(options=PLACES)) == TURNS[text]


@pytest.mark.parametrize("text", NUMBERS)
def test_the_number_that_a_person_reads(text):
    found = lenient(text, asked(NUMBER, "5"))
    assert parse(found) == pytest.approx(NUMBERS[text]) if found else NUMBERS[text] is None


@pytest.mark.parametrize(("gold", "text"), OPEN)
def test_the_open_answer_that_a_person_reads(gold, text):
    assert score(asked(FREE, gold), text, load_protocol("official")).score == OPEN[gold, text]


@pytest.mark.parametrize("text", YES_NO)
def test_the_yes_or_no_that_a_person_reads(text):
    record = asked(options=("A. yes", "B. no"))
    assert lenient(text, record) == {"yes": "A", "no": "B", "": ""}[YES_NO[text]]


def test_what_was_cut_off_holds_no_answer_but_in_a_block():
    for protocol in ("video_r1", "official", "shapes"):
        for text in ("<think>It is B", "<think>Option B looks", "B. blue hat falls from"):
            result = score(asked(), text, load_protocol(protocol), truncated=True)
            assert (result.score, result.score_lenient, result.answered) == (0, 0, False)
        block = score(asked(), "<answer>B</answer> and", load_protocol(protocol), truncated=True)
        assert block.score == 1


@pytest.mark.parametrize(
    "part",
    ["<answer>", "</answer>", "<answer></answer>", "<think>", "</think>", " ", "1", "1,", "1 ", "A ",
     "answer ", "(", "\\boxed{", "\\frac{", "not ", "is ", "one ", "B is not ", "*", "so ", "="],
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
