"""Subtitles: SubRip as it is found in the wild, and only the lines of the chosen frames."""

import itertools
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.subtitles import (
    Line,
    lines_at,
    parse_srt,
    read_srt,
    text_at,
)
from vreason_jax.evaluation.readers import read_benchmark

TEXT = """\ufeff1
00:00:01,500 --> 00:00:03,000
<i>Hello</i> &amp;
welcome

2
00:01:02.25 --> 01:00:00.0 align:start
{\\an8}1965
3
00:00:03,000 --> 00:00:04,000

4
00:00:03,500 --> 00:00:05,000
back
"""


def test_times_may_leave_hours_out():
    assert parse_srt("WEBVTT\n\n00:01.000 --> 01:02.500\nhi") == (Line(1.0, 62.5, "hi"),)


def test_subrip_is_read_with_its_oddities():
    assert parse_srt(TEXT) == (
        Line(1.5, 3.0, "Hello & welcome"),
        Line(3.5, 5.0, "back"),
        Line(62.25, 3600.0, "1965"),
    )
    assert parse_srt(TEXT.replace("\n", "\r\n")) == parse_srt(TEXT)
    assert parse_srt("") == ()


MOMENTS = st.integers(0, 360_000_000)  # milliseconds of 100 hours
WORDS = st.text(st.characters(categories=("L", "P", "Zs"), exclude_characters="<>{}&")).map(
    lambda text: " ".join(text.split())
)
CAPTIONS = st.lists(st.tuples(MOMENTS, MOMENTS, WORDS), max_size=6)


def stamp(moment: int, mark: str) -> str:
    seconds, rest = divmod(moment, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{rest:03d}"


@given(CAPTIONS, st.sampled_from(",."), st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n\n"]))
def test_what_is_written_as_subrip_comes_back_in_order(captions, mark, numbered, gap):
    blocks = [
        (f"{number}\n" if numbered else "") + f"{stamp(a, mark)} --> {stamp(b, mark)}\n{words}\n"
        for number, (a, b, words) in enumerate(captions, 1)
    ]
    expected = [Line(a / 1000, b / 1000, words) for a, b, words in captions if words]
    found = parse_srt(gap.join(blocks))
    assert [(line.start, line.text) for line in found] == [
        (pytest.approx(line.start), line.text) for line in sorted(expected, key=lambda li: li.start)
    ]


@given(st.text() | st.text("0123456789:,-> <{\\}\n"))
def test_any_text_is_read_as_subtitles_or_none(text):
    assert all(line.text and line.start >= 0 and line.end >= 0 for line in parse_srt(text))


@pytest.mark.parametrize("mark", ["<", "{\\", "9", "9:", "0:00:00 --> ", "&"])
def test_long_lines_are_read_in_linear_time(mark):
    text = "0:00:00 --> 0:00:01\n" + mark * 200_000
    began = time.process_time()
    parse_srt(text)
    parse_srt(text.partition("\n")[2])
    assert time.process_time() - began < 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from("abc"))), st.data())
def test_lines_at_some_times_are_those_whose_span_holds_one(spans, data):
    lines = [Line(a, b, text) for a, b, text in sorted(spans)]
    times = data.draw(st.lists(st.integers(0, 10)))
    shown = [line.text for line in lines if any(line.start <= t <= line.end for t in times)]
    assert lines_at(lines, times) == [text for text, _ in itertools.groupby(shown)]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0.0, 1.49], []),
        ([1.5], ["one"]),
        ([3.0], ["one", "two"]),
        ([2.0, 2.5, 9.0], ["one"]),
        ([9.0, 4.0, 2.0], ["one", "two"]),
        ([], []),
    ],
)
def test_only_lines_on_the_screen_at_a_chosen_frame(times, words):
    lines = (Line(1.5, 3.0, "one"), Line(3.0, 5.0, "two"), Line(6.0, 7.0, "three"))
    assert lines_at(lines, times) == words


def test_a_rolling_caption_comes_once():
    assert lines_at((Line(0, 2, "so"), Line(1, 3, "so"), Line(2, 3, "then")), [1, 2]) == [
        "so",
        "then",
    ]


def test_files(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(TEXT, encoding="utf-8")
    assert read_srt(path) == parse_srt(TEXT)
    path.write_text("no times at all")
    with pytest.raises(UserError, match="expected subtitles with times"):
        read_srt(path)
    with pytest.raises(UserError, match="expected a readable subtitle file"):
        read_srt(tmp_path / "none.srt")
    os.mkfifo(tmp_path / "pipe.srt")
    with pytest.raises(UserError, match="is a pipe, no regular file"):
        read_srt(tmp_path / "pipe.srt")


def test_a_record_without_subtitles_has_none(tmp_path):
    record = read_benchmark("shapes", limit=1).records[0]
    assert text_at(record, tmp_path, [1.0]) == ""
