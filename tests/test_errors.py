"""What a message shows of a wrong value is one short printable line, whatever came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.errors import LONGEST_REASON, LONGEST_VALUE, nearest, one_line, shown


def deep_list(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@given(st.text() | st.binary() | st.lists(st.text()) | st.floats() | st.none())
def test_a_value_is_shown_in_one_short_printable_line(value):
    text = shown(value)
    assert text.isprintable() and 0 < len(text) <= LONGEST_VALUE


UNPRINTABLE = {
    "a number of many digits": 10**10_000,
    "a deep list": deep_list(100_000),
    "escape codes": "\x1b[31m\n" * 10_000,
    "a surrogate": "\ud800",
}


@pytest.mark.parametrize("case", UNPRINTABLE)
def test_values_that_cannot_be_printed_are_shown_all_the_same(case):
    text = shown(UNPRINTABLE[case])
    assert text.isprintable() and len(text) <= LONGEST_VALUE
    text.encode()


def test_a_short_value_is_shown_whole():
    assert [shown(v) for v in (3, "three", None, [1.5])] == ["3", "'three'", "None", "[1.5]"]


@given(st.text(max_size=3 * LONGEST_REASON))
def test_a_reason_becomes_one_printable_line(text):
    line = one_line(text)
    assert line.isprintable() and 0 < len(line) <= LONGEST_REASON


def test_an_exception_without_words_is_told_by_its_name():
    assert one_line(ValueError()) == "ValueError"
    assert one_line(ValueError("two\nlines")) == "two lines"


def test_the_nearest_word_of_a_very_long_one_is_found_at_once():
    assert nearest("x" * 10**7, ["ab", "xy"]) == "; the nearest known one is 'xy'"
