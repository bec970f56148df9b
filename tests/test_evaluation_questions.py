"""The words of a run's questions are kept whole, and one with answers may not change."""

import dataclasses

import pytest

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.results.questions import FILE, keep_words, read_words

RECORDS = [
    Record(f"q{n}", "mmvu", "v.mp4", f"Which {n}?\n", ("A. \u2028", "B. \udcff"), "A", CHOICE, "t")
    for n in range(4)
]


def changed(number, **fields):
    records = list(RECORDS)
    records[number] = dataclasses.replace(records[number], **fields)
    return records


def test_what_is_written_comes_back(tmp_path):
    assert read_words(tmp_path) == {}
    keep_words(tmp_path, RECORDS, ())
    words = read_words(tmp_path)
    assert list(words) == ["q0", "q1", "q2", "q3"]
    assert words["q1"]["problem"] == "Which 1?\n" and words["q1"]["task"] == "t"
    assert words["q1"]["options"] == list(RECORDS[1].options) and words["q1"]["gold"] == "A"
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_the_prompt_as_sent_is_kept_and_another_one_is_no_change_of_the_question(tmp_path):
    keep_words(tmp_path, RECORDS, (), lambda record: f"Think. {record.problem}")
    assert read_words(tmp_path)["q2"]["prompt"] == "Think. Which 2?\n"
    keep_words(tmp_path, RECORDS, {"q2"})
    assert "prompt" not in read_words(tmp_path)["q2"]


@pytest.mark.parametrize(
    "fields",
    [{"problem": "?"}, {"options": ("A. c",)}, {"gold": "B"}, {"video": "w.mp4"}, {"start": 1.0}],
)
def test_a_changed_question_is_refused_by_its_id_if_it_has_an_answer(tmp_path, fields):
    ((key, value),) = fields.items()
    keep_words(tmp_path, RECORDS, ())
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UserError) as caught:
        keep_words(tmp_path, changed(2, **fields), {"q0", "q2"})
    assert f"question 'q2' has answers there and has changed since ({key})" in str(caught.value)
    assert (tmp_path / FILE).read_bytes() == before
    keep_words(tmp_path, changed(2, **fields), {"q0", "q1"})
    kept = read_words(tmp_path)["q2"][key]
    assert kept == (list(value) if isinstance(value, tuple) else value)


def test_more_questions_may_come_and_those_with_answers_stay(tmp_path):
    keep_words(tmp_path, RECORDS[:2], ())
    keep_words(tmp_path, RECORDS[1:3], {"q0", "q1"})
    assert list(read_words(tmp_path)) == ["q0", "q1", "q2"]
    keep_words(tmp_path, RECORDS[3:], {"q1"})
    assert list(read_words(tmp_path)) == ["q0", "q1", "q2", "q3"]  # others may ask them


@pytest.mark.parametrize("text", ["notes\n", "[]\n", "[" * 10_000 + "\n", '{"id": "q0"}\n'])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=r"questions\.jsonl.*1: expected a"):
        keep_words(tmp_path, RECORDS, ())
    assert (tmp_path / FILE).read_text() == text
