"""Clips in words: each question has its answer in them, and the benchmark of text reads them."""

import re

import pytest

from vreason_jax.evaluation.readers import read_benchmark
from vreason_jax.shapes import sample_text
from vreason_jax.shapes.__main__ import main
from vreason_jax.shapes.description import describe


def lines_of(index, kind, level):
    made = sample_text("test", index, kind, level)
    return made, describe(made.scene).splitlines()


@pytest.mark.parametrize("index", range(5))
def test_the_words_hold_what_a_question_asks_for(index):
    made, lines = lines_of(index, "count", 1)
    assert str(len(lines)) == made.answer
    made, lines = lines_of(index, "position", 2)
    colour, shape, second = re.fullmatch(
        r"Where is the (\w+) (\w+) at (\d)s\?", made.problem
    ).groups()
    (line,) = (line for line in lines if line.startswith(shape) and f" {colour} " in line)
    spans = re.findall(r"(\d)s(?: to (\d)s)? (\w+) ([\w ]+)\.", line)
    (at,) = (at for a, b, _, at in spans if int(a) <= int(second) <= int(b or a))
    assert at == made.answer_words


def test_a_thing_is_hidden_while_it_is_not_there():
    _, lines = lines_of(0, "order", 1)
    assert all("hidden" in line for line in lines) and len(lines) == 4


def test_the_folder_of_the_text_is_made(tmp_path):
    file = tmp_path / "new" / "folder" / "text.jsonl"
    assert main(["--text", str(file), "--count", "2"]) == 0
    assert len(file.read_text().splitlines()) == 2


def test_the_benchmark_of_text_reads_what_is_written(tmp_path):
    assert main(["--text", str(tmp_path / "text.jsonl"), "--count", "16"]) == 0
    data = read_benchmark("text", tmp_path)
    assert (len(data.records), data.refused) == (16, ())
    for index, record in enumerate(data.records):
        made = sample_text("test", index)
        assert (record.id, record.gold, record.task) == (made.name, made.answer, made.kind)
        assert record.options == made.options and record.problem.endswith(made.problem)
        assert record.video == ""
