"""Subtitles: SubRip as it is found in the wild, and only the lines of the chosen frames."""

import pytest
from video_files import encode, read

from vreason_jax.errors import UserError
from vreason_jax.evaluation.readers import read_benchmark
from vreason_jax.evaluation.subtitles import (
    Line,
    frame_times,
    lines_at,
    parse_srt,
    read_srt,
    text_at,
)

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


def test_subrip_is_read_with_its_oddities():
    assert parse_srt(TEXT) == (
        Line(1.5, 3.0, "Hello & welcome"),
        Line(3.5, 5.0, "back"),
        Line(62.25, 3600.0, "1965"),
    )
    assert parse_srt(TEXT.replace("\n", "\r\n")) == parse_srt(TEXT)
    assert parse_srt("") == ()


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


def test_the_times_of_frames_follow_from_the_clip(tmp_path):
    clip = read(encode(tmp_path / "clip.mp4", count=31, rate=10))
    expected = [int(index) / 10 for index in clip.frame_indices]
    assert frame_times(clip.frame_indices.tolist(), clip.fps) == pytest.approx(expected)


def test_files(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(TEXT, encoding="utf-8")
    assert read_srt(path) == parse_srt(TEXT)
    path.write_text("no times at all")
    with pytest.raises(UserError, match="expected subtitles with times"):
        read_srt(path)
    with pytest.raises(UserError, match="expected a readable subtitle file"):
        read_srt(tmp_path / "none.srt")


def test_a_record_without_subtitles_has_none(tmp_path):
    record = read_benchmark("shapes", limit=1).records[0]
    assert text_at(record, tmp_path, [1.0]) == ""
