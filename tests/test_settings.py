"""Settings from text and tables: what is typed gives its value, or one line says what is wrong."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vreason_jax.config import RunConfig
from vreason_jax.errors import UserError
from vreason_jax.settings import (
    LARGEST,
    apply_overrides,
    checked,
    in_range,
    known_keys,
    parse_set,
    table_values,
)  # fmt: skip

KEYS = known_keys(RunConfig)
KINDS = {
    "a.whole": int, "a.number": float, "a.switch": bool, "a.text": str, "a.open": int | None,
    "a.list": tuple[tuple[float, ...], ...], "a.table": Mapping[str, str],
}  # fmt: skip
FINITE = st.floats(allow_nan=False, allow_infinity=False)
# Values of a TOML file, of every type that it knows.
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), FINITE, st.text(), st.just("none")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def refused(function, *arguments) -> bool:
    """Whether the input is refused, which must be in one short line."""
    try:
        function(*arguments)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
        return True
    return False


@given(st.sampled_from(sorted(KEYS)), st.one_of(st.booleans(), st.integers(), FINITE))
def test_a_number_or_a_switch_comes_back_as_it_was_written(key, value):
    text = json.dumps(value)
    got = parse_set(f"{key}={text}")
    assert got == (key, value) and type(got[1]) is type(value)
    assert parse_set(f" {key} = {text} ") == got


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="\x7f")))
def test_quoted_text_comes_back_whatever_stands_in_it(text):
    assert parse_set(f"prompt.template={json.dumps(text)}") == ("prompt.template", text)


@given(st.text())
@example("a=" + "[" * 100_000)
@example("a=" + "{b=" * 20_000)
@example("a=1\n[controller]\nevery=2")
@example("a=1\nb=2")
@example("a=")
@example("a=\ud800")
@example("=1")
def test_any_text_is_a_key_and_a_value_or_refused_in_one_line(argument):
    if not refused(parse_set, argument):
        key, value = parse_set(argument)
        assert key == argument.partition("=")[0].strip() and key
        assert value is not None


@given(st.dictionaries(st.sampled_from(sorted(KINDS)), VALUES))
def test_checked_values_have_the_types_of_their_keys(values):
    if refused(checked, values, KINDS):
        return
    for key, value in checked(values, KINDS).items():
        if key == "a.open":
            assert value is None or type(value) is int
        elif key == "a.list":
            assert all(type(x) is float for row in value for x in row) and type(value) is tuple
        elif key == "a.table":
            assert all(type(x) is str for x in value.values())
        else:
            assert type(value) is KINDS[key]


def test_scalars_of_numpy_are_numbers_and_paths_are_texts():
    changed = apply_overrides(
        RunConfig(),
        {
            "controller.learning_rate": np.float64(1e-3),
            "controller.every": np.arange(4)[2],
            "sampling.seed": np.array(3),
            "sampling.temperature": np.float32(0.5),
            "prompt.template": Path("x.txt"),
        },
    )
    assert (changed.controller.learning_rate, changed.controller.every) == (1e-3, 2)
    assert (changed.sampling.seed, changed.sampling.temperature) == (3, 0.5)
    assert changed.prompt.template == "x.txt"
    with pytest.raises(UserError, match="expected a whole number"):
        apply_overrides(RunConfig(), {"controller.every": np.bool_(True)})


@given(st.dictionaries(st.sampled_from(sorted(KEYS)), VALUES, max_size=4))
def test_overrides_change_their_keys_alone(values):
    base = RunConfig()
    if refused(apply_overrides, base, values):
        return
    changed, before = apply_overrides(base, values).to_dict(), base.to_dict()
    for key in KEYS:
        section, name = key.split(".")
        if key not in values:
            assert changed[section][name] == before[section][name]
    assert apply_overrides(base, {}) == base
    again = {key: changed[key.split(".")[0]][key.split(".")[1]] for key in KEYS}
    assert apply_overrides(base, again).to_dict() == changed


@given(st.sampled_from(sorted(KEYS)), st.integers(0, 30))
def test_a_mistyped_key_is_refused_and_the_one_meant_is_named(key, place):
    section, name = key.split(".")
    place %= len(name)
    wrong = f"{section}.{name[:place]}{name[place]}{name[place:]}"
    with pytest.raises(UserError, match=f"unknown config key '{wrong}'; the nearest known one is"):
        checked({wrong: 1}, KEYS)
    with pytest.raises(UserError, match=repr(key)):
        checked({wrong: 1}, {key: int, "other.key": int})


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"a": {"whole": True}}, "a.whole: expected a whole number, got True"),
        ({"a": {"whole": 1.0}}, "a.whole: expected a whole number, got 1.0"),
        ({"a": {"number": "1"}}, "a.number: expected a number, got '1'"),
        ({"a": {"number": 10**400}}, "a.number: expected a number"),
        ({"a": {"switch": 1}}, "a.switch: expected true or false, got 1"),
        ({"a": {"open": 0.5}}, "a.open: expected a whole number or none, got 0.5"),
        ({"a": {"list": 3}}, "a.list: expected a list, got 3"),
        ({"a": {"list": [[1, "x"]]}}, "a.list[0][1]: expected a number, got 'x'"),
        ({"a": {"table": {"b": 1}}}, "a.table['b']: expected text, got 1"),
        ({"a": 1}, "unknown config key 'a': keys stand in tables, as [a]"),
        ({"b": {}}, "unknown config table 'b'; the nearest known one is 'a'"),
    ],
)
def test_a_wrong_table_is_refused_by_name(tables, words):
    with pytest.raises(UserError) as caught:
        table_values(tables, KINDS)
    assert str(caught.value).startswith(words)


@given(FINITE | st.just(float("nan")) | st.just(float("inf")), FINITE, st.booleans(), st.booleans())
def test_a_range_holds_what_its_ends_say(value, low, open_low, open_high):
    inside = (low < value or (value == low and not open_low)) and (
        value < LARGEST[float] or (value == LARGEST[float] and not open_high)
    )
    ends = {"open_low": open_low, "open_high": open_high}
    assert refused(lambda: in_range("a.number", value, low, **ends)) is not inside


def test_every_default_is_in_range():
    for section in dataclasses.fields(RunConfig):
        values = dataclasses.asdict(getattr(RunConfig(), section.name))
        overrides = {f"{section.name}.{name}": value for name, value in values.items()}
        assert apply_overrides(RunConfig(), overrides) == RunConfig()
