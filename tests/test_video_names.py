"""Names of frames and files: natural order, and one name in both forms of Unicode."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.video.names import existing_path, natural_key


@given(st.lists(st.integers(0, 10**12), unique=True), st.sampled_from(["", "frame_", "a1b"]))
def test_numbered_names_come_in_the_order_of_their_numbers(numbers, prefix):
    names = sorted((f"{prefix}{number}.png" for number in numbers), key=natural_key)
    assert names == [f"{prefix}{number}.png" for number in sorted(numbers)]


@given(st.lists(st.text(max_size=8), unique=True))
def test_any_names_have_one_order(names):
    assert sorted(names, key=natural_key) == sorted(names[::-1], key=natural_key)


def test_padding_and_case_do_not_count():
    names = ["Frame_10.JPG", "frame_002.png", "frame_1.jpg", "frame_03.png"]
    expected = ["frame_1.jpg", "frame_002.png", "frame_03.png", "Frame_10.JPG"]
    assert sorted(names, key=natural_key) == expected


@pytest.mark.parametrize(("disk", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_is_found_in_either_form(tmp_path, disk, asked):
    stored = tmp_path / unicodedata.normalize(disk, "Vidéos") / unicodedata.normalize(disk, "é.mp4")
    stored.parent.mkdir()
    stored.touch()
    wanted = (
        tmp_path / unicodedata.normalize(asked, "Vidéos") / unicodedata.normalize(asked, "é.mp4")
    )
    assert existing_path(wanted) == stored
    missing = wanted.with_name("ü.mp4")
    assert existing_path(missing) == missing
