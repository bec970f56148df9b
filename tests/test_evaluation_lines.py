import json

import pytest
from evaluation_samples import make_lines, sample_line

from vreason_jax.errors import UserError
from vreason_jax.evaluation.results.lines import read_lines


def write(path, *rows, end="\n"):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + end)
    return path


def test_lines_are_read_in_order_with_their_folder(tmp_path):
    path = write(tmp_path / "p.jsonl", sample_line(1), sample_line(0, trace="a.npz"))
    first, second = read_lines(path)
    assert (first.id, second.id) == ("q00001", "q00000")
    assert first == make_lines(sample_line(1))[0]
    assert first.trace_path is None
    assert second.trace_path == tmp_path / "traces" / "a.npz"


def test_unknown_keys_are_ignored_and_younger_ones_may_be_missing(tmp_path):
    row = sample_line() | {"mood": "good"}
    for key in ("subset", "kind", "answer_probability", "trace", "video"):
        del row[key]
    (line,) = read_lines(write(tmp_path / "p.jsonl", row))
    assert (line.subset, line.answer_probability) == ("", None)


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_torn_last_line_is_dropped(tmp_path, cut):
    torn = json.dumps(sample_line(1))[:cut]
    assert len(read_lines(write(tmp_path / "p.jsonl", sample_line(), torn, end=""))) == 1


def test_a_torn_character_is_dropped_with_its_line(tmp_path):
    path = write(tmp_path / "p.jsonl", sample_line())
    path.write_bytes(path.read_bytes() + b'{"text": "\xe4\xbd')
    assert len(read_lines(path)) == 1


def test_a_whole_last_line_without_its_line_break_counts(tmp_path):
    assert len(read_lines(write(tmp_path / "p.jsonl", sample_line(0), sample_line(1), end=""))) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{torn", "expected a JSON object"),
        ("[]", "expected a JSON object"),
        ("[" * 10_000, "expected a JSON object"),
        ({"id": "a"}, "no answer, benchmark, config_hash"),
        (sample_line(status="fine"), "got 'fine'"),
        (sample_line(score=1.5), "expected score as a number from 0 to 1; got 1.5"),
        (sample_line(score=float("nan")), "expected score as a number"),
        (sample_line(tokens=-1), "expected tokens as a number from 0 to 4.29497e+09; got -1"),
        (sample_line(tokens=2**63), "expected tokens as a number from 0 to 4.29497e+09; got 9223"),
        (sample_line(seed=10**400), "expected seed as a number from 0 to 4.29497e+09; got 1000"),
        (sample_line(benchmark=["shapes"]), "expected benchmark as text; got ['shapes']"),
        (sample_line(trace={}), "expected trace as text; got {}"),
        (sample_line(seconds=3), "expected an object of seconds by stage; got 3"),
        (sample_line(answer_probability="high"), "expected answer_probability"),
    ],
)
def test_a_broken_line_is_refused_with_its_place(tmp_path, row, message):
    path = write(tmp_path / "p.jsonl", sample_line(0), row, sample_line(2))
    with pytest.raises(UserError) as error:
        read_lines(path)
    assert str(error.value).startswith(f"{path}, line 2: ")
    assert message in str(error.value)


def test_no_file_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="cannot read it: No such file"):
        read_lines(tmp_path / "p.jsonl")


def test_the_same_answer_may_take_another_time():
    line, slow, other = make_lines(
        sample_line(), sample_line(seconds={"decode": 9.0}), sample_line(text="no")
    )
    assert line.same_answer(slow)
    assert not line.same_answer(other)
