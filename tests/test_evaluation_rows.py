"""The rows of annotation files: whole, torn and nested, each with the line where it stands."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vreason_jax.evaluation.benchmarks.rows import read_rows

KEYS = st.text(max_size=5)
NUMBERS = st.integers() | st.floats(allow_nan=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=10)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
OBJECTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=3)
INDENTS = st.sampled_from([None, 0, 2])


def rows_of(text: str, name: str = "rows.json", depth: int = 1):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return list(read_rows(path, depth))


@given(st.lists(VALUES, max_size=4), INDENTS)
def test_an_array_gives_its_values_each_with_its_line(values, indent):
    text = json.dumps(values, indent=indent)
    rows = rows_of(text)
    assert [row.value for row in rows] == values
    assert [row.keys for row in rows] == [(str(number),) for number in range(1, len(values) + 1)]
    lines = text.split("\n")
    for row in rows:
        opened = json.dumps(row.value)[0]
        assert opened in lines[int(row.place) - 1]
    assert [int(row.place) for row in rows] == sorted(int(row.place) for row in rows)


@given(st.dictionaries(KEYS, OBJECTS, max_size=3), INDENTS)
def test_objects_give_the_values_below_their_keys(tables, indent):
    rows = rows_of(json.dumps(tables, indent=indent), depth=2)
    expected = [
        ((outer, inner), value) for outer, table in tables.items() for inner, value in table.items()
    ]
    assert [(row.keys, row.value) for row in rows] == expected


@given(st.lists(VALUES, max_size=4))
def test_lines_give_what_an_array_gives(values):
    objects = len(values) == 1 and isinstance(values[0], list) and values[0]
    # One line that is a list of objects is that list, whatever the file is called.
    assume(not (objects and all(isinstance(value, dict) for value in objects)))
    lines = "\n\n".join(map(json.dumps, values))
    assert [row.value for row in rows_of(lines, "rows.jsonl")] == values


@given(st.lists(OBJECTS, min_size=1, max_size=4), INDENTS, st.data())
def test_a_torn_array_keeps_what_lies_before_the_tear_and_says_that_it_is_torn(
    values, indent, data
):
    text = json.dumps(values, indent=indent)
    torn = text[: data.draw(st.integers(1, len(text.rstrip("]\n")) - 1))]
    *kept, last = rows_of(torn)
    assert [row.value for row in kept] == values[: len(kept)]
    assert len(kept) < len(values) and last.error.startswith("not JSON, so nothing is read from")


@given(st.text() | st.text('[]{}",: 01tfn\n\\'), st.integers(0, 3))
def test_any_text_gives_rows_or_reasons_of_one_line(text, depth):
    for name in ("rows.json", "rows.jsonl"):
        for row in rows_of(text.encode("utf-8", "replace").decode(), name, depth):
            assert row.error.isprintable()
            assert row.refusal("reason").removeprefix(str(row.file)).isprintable()


def test_a_refusal_quotes_eighty_characters_of_a_key():
    (row,) = rows_of(json.dumps({"x" * 1000: 3}), depth=1)
    assert row.refusal("reason").endswith(f"entry {'x' * 77}...: reason")


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize("deep", ["[" * 10_000, '{"a":' * 10_000])
def test_a_row_nested_too_deeply_is_refused_in_one_line(name, deep):
    row = rows_of(f"[{deep}" if name == "rows.json" else deep, name)[-1]
    assert row.value is None and "nested too deeply" in row.error


def test_json_lines_are_read_as_such_whatever_the_file_is_called():
    text = '{"a": 1}\n{"a": 2}\n'
    assert [row.value for row in rows_of(text)] == [{"a": 1}, {"a": 2}]
    (only,) = rows_of('{"x": {"a": 1}}\n')  # one object is rows by their keys
    assert (only.keys, only.value) == (("x",), {"a": 1})


def test_what_stands_behind_the_rows_is_told():
    *rows, rest = rows_of('[{"a": 1}]\n[{"a": 2}]')
    assert [row.value for row in rows] == [{"a": 1}] and "expected the end" in rest.error
