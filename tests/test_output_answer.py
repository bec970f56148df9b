import pytest

from vreason_jax.output.answer import extract_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>so</think>\n<answer>B</answer>", "B"),
        ("<answer>\n two\nlines \n</answer>", "two\nlines"),
        ("<answer>A</answer> or <answer>B</answer>", "A"),
        ("<answer></answer>", ""),
        ("<answer>cut short", None),
        ("B</answer>", None),
        ("plain", None),
        ("", None),
        ("maybe <answer>A</answer>, or\n</think>\n\n<answer>B</answer>", "B"),
        ("maybe <answer>A</answer>, or\n</think>\n\nB", None),
        ("<think>maybe <answer>A</answer></think><answer>B</answer>", "A"),
    ],
)
def test_answer_is_what_stands_in_the_first_closed_tags(text, answer):
    assert extract_answer(text) == answer
