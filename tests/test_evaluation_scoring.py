"""Scores, value by value: Video-R1's quirks, the authors' rules, and the lenient reading."""

import pytest

from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, NUMBER, REGRESSION, Record
from vreason_jax.evaluation.scoring import official
from vreason_jax.evaluation.scoring.folding import fold
from vreason_jax.evaluation.scoring.numbers import find_numbers
from vreason_jax.evaluation.scoring.numeric import mra_official, mra_video_r1
from vreason_jax.evaluation.scoring.protocol import load_protocol
from vreason_jax.evaluation.scoring.score import extract, lenient, score

OPTIONS = ("A. cup", "B. hat", "C. red hat", "D. it is left of the cup")


def record(kind=CHOICE, gold="B", options=OPTIONS, benchmark="mmvu", task="t"):
    if kind != CHOICE and options is OPTIONS:
        options = ()
    return Record("1", benchmark, "v.mp4", "What?", options, gold, kind, task)


def scored(text, protocol="video_r1", **fields):
    return score(record(**fields), text, load_protocol(protocol))


@pytest.mark.parametrize(
    ("target", "prediction", "strict", "official"),
    [
        (2, 1, 0.0, 0.1), (2, 3, 0.0, 0.1), (4, 3, 0.5, 0.6), (4, 5, 0.5, 0.6),
        (10, 9, 0.9, 0.9), (10, 11, 0.9, 0.9), (2, 2, 1.0, 1.0), (2, 5, 0.0, 0.0),
        (0, 0, 1.0, 1.0), (0, 1, 0.0, 0.0), (-4, -3, 0.5, 0.6), (2, float("inf"), 0.0, 0.0),
    ],
)  # fmt: skip
def test_mean_relative_accuracy_at_its_edges(target, prediction, strict, official):
    assert mra_video_r1(prediction, target) == pytest.approx(strict, abs=1e-12)
    assert mra_official(prediction, target) == pytest.approx(official, abs=1e-12)


def test_the_two_accuracies_are_those_of_exact_arithmetic_away_from_edges():
    for percent in (2, 7, 12, 23, 38, 49, 61):
        expected = sum(percent < 100 - theta for theta in range(50, 100, 5)) / 10
        for target in (3.0, 70.0, 0.2):
            for sign in (1, -1):
                guess = target * (1 + sign * percent / 100)
                assert mra_video_r1(guess, target) == pytest.approx(expected)
                assert mra_official(guess, target) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>x</think><answer> B </answer>", "B"),
        ("<answer>A</answer> no: <answer>B</answer>", "A"),
        ("<answer>\nB\nand more\n</answer>", "B\nand more"),
        ("<answer></answer>", "<answer></answer>"),
        ("  B\n", "B"),
        ("<answer>B", "<answer>B"),
        ("", ""),
    ],
)
def test_the_first_answer_block_counts_and_else_the_whole_text(text, answer):
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("answer", "strict", "relaxed"),
    [
        ("B", 1, 1), (" B ", 1, 1), ("B.", 0, 1), ("(B)", 0, 1), ("(B).", 0, 1), ("B. hat", 0, 1),
        ("B) hat", 0, 1), ("b", 0, 1), ("hat", 0, 1), ("The answer is B", 0, 1), ("A", 0, 0),
        ("The answer is (B), not A.", 0, 1), ("Option B", 0, 1), ("**B**", 0, 1),
        ("\\boxed{B}", 0, 1), ("I see a hat.", 0, 1), ("B hat", 0, 1), ("red hat", 0, 0),
        ("A or B", 0, 0), ("E", 0, 0), ("I cannot tell", 0, 0), ("", 0, 0),
    ],
)  # fmt: skip
def test_letters_strictly_and_leniently(answer, strict, relaxed):
    result = scored(f"<think>It could be A or C.</think><answer>{answer}</answer>")
    assert (result.score, result.score_lenient) == (strict, relaxed)
    assert result.answered == bool(answer)


@pytest.mark.parametrize(
    ("gold", "answer", "strict", "relaxed"),
    [
        ("5", "5", 1, 1), ("5", "5.0", 0, 1), ("5.0", "5", 0, 1), ("5.0", "5.00", 1, 1),
        ("1,000", "1000", 0, 1), ("1,000", "1,000", 1, 1), ("1,000", "1000.0", 1, 1),
        ("12.97", "12.974", 1, 1), ("12.97", "12.98", 0, 0), ("5", "five", 0, 1),
        ("5", "5 cups", 0, 1), ("5", "about 5", 0, 1), ("0.286", "0.29", 1, 1),
        ("21", "twenty-one", 0, 1), ("5", "", 0, 0), ("5", "none", 0, 0), ("-3", "-3", 1, 1),
    ],
)  # fmt: skip
def test_numbers_strictly_and_leniently(gold, answer, strict, relaxed):
    result = scored(f"<answer>{answer}</answer>", kind=NUMBER, gold=gold)
    assert (result.score, result.score_lenient) == (strict, relaxed)


def test_missing_tags_and_two_blocks():
    bare, wordy = scored("B"), scored("I think it is the hat, so B.")
    assert (bare.score, bare.score_lenient, bare.answered) == (1, 1, False)
    assert (wordy.score, wordy.score_lenient, wordy.answered) == (0, 1, False)
    twice = scored("<answer>B</answer><answer>A</answer>")
    assert (twice.prediction, twice.score) == ("B", 1)
    assert scored("<answer>A</answer><answer>B</answer>").score == 0
    # What is left over from reasoning is no answer.
    cut = scored("<think>A? B? C?")
    assert (cut.score, cut.score_lenient, cut.answered) == (0, 0, False)


def test_a_regression_is_scored_by_its_accuracy_in_both_protocols():
    fields = {"kind": REGRESSION, "gold": "4", "benchmark": "vsibench", "task": "object_counting"}
    assert scored("<answer>3</answer>", **fields).score == pytest.approx(0.5)
    assert scored("<answer>3</answer>", "official", **fields).score == pytest.approx(0.6)
    assert scored("<answer>three</answer>", **fields).score == 0
    assert scored("<answer>three</answer>", **fields).score_lenient == pytest.approx(0.5)
    assert scored("3 chairs", "official", **fields).prediction == "3"


def test_free_form_is_worth_nothing_to_video_r1():
    assert scored("<answer>shoring</answer>", kind=FREE, gold="shoring").score == 0


@pytest.mark.parametrize(
    ("block", "prediction"),
    [("B", "B"), ("a cup", "B"), ("A cup.", "B"), ("a saucer", "C"), ("cup", "cup"), ("2", "2")],
)
def test_the_words_of_an_option_stand_for_its_letter_in_shapes(block, prediction):
    options = ("A. a plate", "B. a cup", "C. a saucer")
    result = scored(f"<answer>{block}</answer>", "shapes", benchmark="shapes", options=options)
    assert (result.prediction, result.score) == (prediction, float(prediction == "B"))


def test_without_tags_shapes_gets_nothing():
    fields = {"benchmark": "shapes"}
    assert scored("<think>..</think>\n<answer>B</answer>", "shapes", **fields).score == 1
    bare = scored("B", "shapes", **fields)
    assert (bare.prediction, bare.score, bare.score_lenient, bare.answered) == ("", 0, 1, False)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("between 1,234.5 and .5", ["1234.5", ".5"]),
        ("R2 shows 3-4, or forty two of ninety-nine", ["3", "4", "42", "99"]),
        ("3 m", ["3"]), ("3m", ["3"]), ("no one", []), ("-2e3", ["-2e3"]), ("", []),
    ],
)  # fmt: skip
def test_numbers_in_prose(text, numbers):
    assert [number for number, _ in find_numbers(fold(text).lower())] == numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("I count 3, then 2, so the answer is 5.", "5"),
        ("There are 3 here and 2 there: 5 in all", "5"),
        ("The distance between the 2 chairs is 5 meters.", "5"),
        ("There are no chairs.", "0"),
        ("The 4-person sofa is 5 m long", "5"),
        ("In this 30-second video it is 5", "5"),
        ("2 at the desk and 3 at the table, which is 5", "5"),
        ("a 5-meter gap", "5"),
        ("<answer>5 of 7</answer>", "5"),
        ("<think>9</think> It must be four", "4"),
    ],
)
def test_a_lenient_number(text, number):
    assert lenient(text, record(NUMBER, "5")) == number


@pytest.mark.parametrize(
    ("benchmark", "text", "prediction"),
    [
        ("vsibench", "b. hat", "B"), ("vsibench", "The answer is B", "THE"),
        ("mvbench", "(B) hat", "B"), ("mvbench", "b", "B"), ("mvbench", "It is B", ""),
        ("mvbench", "B\nBecause it falls.", "B"), ("mvbench", "(B)\nIt is", "B"),
        ("mvbench", "", ""), ("videomme", "Answer: B", "A"), ("videommmu", "A or (B)", "B"),
        ("videommmu", "B", "B"), ("videommmu", "A. no, B. yes", "B"),
        ("videomme", "The best answer is: B. hat", "B"), ("videomme", "hat", ""),
        ("videommmu", "So it is (B).", "B"), ("videommmu", "red hat", ""),
        ("videommmu", "what falls down is a red hat", "B"),
        ("mmvu", "The answer is B.", "B"), ("tempcompass", "B. hat", "B"),
        ("tempcompass", "A. Wait, it is B.", "A"), ("tempcompass", "B) No. C) Yes.", "B"),
        ("videomme", "<think>A, C</think><answer>B</answer>", "B"),
        ("mvbench", "<think>A, C</think>\nB", "B"),
    ],
)  # fmt: skip
def test_the_letters_that_each_benchmarks_own_rule_finds(benchmark, text, prediction):
    result = scored(text, "official", benchmark=benchmark)
    assert result.prediction == prediction
    assert result.score == float(prediction == "B")
    assert result.answered == bool(prediction)


def test_tempcompass_takes_yes_and_no_names_of_captions_and_captions():
    yes_no = {"benchmark": "tempcompass", "task": "yes_no", "options": ("A. yes", "B. no")}
    for text, right in (("No.", 1), ("no, it rises", 1), ("Yes", 0), ("B", 1), ("maybe", 0)):
        assert scored(text, "official", **yes_no).score == right, text
    matching = {"benchmark": "tempcompass", "task": "caption_matching"}
    for text, right in (("Option 2", 1), ("Caption B: hat", 1), ("Sentence A", 0), ("hat", 1)):
        assert scored(text, "official", **matching).score == right, text
    pieces = (
        "A. {'subject': 'ball', 'direction': 'up'}",
        "B. {'subject': 'ball', 'direction': 'down'}",
    )
    captioning = {"benchmark": "tempcompass", "task": "captioning", "kind": FREE, "options": pieces}
    for text, right in (("A ball goes down.", 1), ("A ball goes up.", 0), ("A ball.", 0)):
        assert scored(text, "official", **captioning).score == right, text


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("Depth-First Search (DFS)", "It is DFS.", 1), ("blind spot", "the blind spot, I think", 1),
        ("blind spot", "a spot that is blind", 0), ("41", "41 of them", 1), ("six", "sixteen", 0),
        ("CO2", "The gas is CO.", 0), ("CO2", "It gives off CO2", 1), ("H2O", "H2O2", 0),
        ("p53", "It is p38.", 0), ("B6", "vitamin B 6", 1), ("photosynthesis", "It isn't that", 0),
        ("photosynthesis", "It isn\u2019t photosynthesis.", 0), ("Newton's law", "Newtons law", 1),
        ("2", "12", 0),
    ],
)  # fmt: skip
def test_open_answers_of_mmvu(gold, text, right):
    assert scored(text, "official", kind=FREE, gold=gold).score == right


def test_videommmus_list_of_golds():
    gold = record(NUMBER, "['24/7', '3.429', '3.43]", benchmark="videommmu")
    assert [official.credit(text, gold) for text in ("3.43", "3.429", "3.5")] == [1, 1, 0]
