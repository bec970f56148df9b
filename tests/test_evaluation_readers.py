"""What all readers share: which files are found, and what becomes of rows that are broken."""

import dataclasses
import json
import random
import sys

import benchmark_files as files
import pytest

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import KINDS, NUMBER, REGRESSION
from vreason_jax.evaluation.benchmarks.rows import read_rows
from vreason_jax.evaluation.readers import BENCHMARKS, LAYOUTS, read_benchmark
from vreason_jax.evaluation.running.check import check_videos
from vreason_jax.shapes.__main__ import main as shapes_main

WRITERS = {
    "vsibench": files.vsibench,
    "videommmu": files.videommmu_,
    "mmvu": files.mmvu,
    "mvbench": files.mvbench_,
    "tempcompass": files.tempcompass_,
    "videomme": files.videomme,
    "videommev2": files.videommev2,
    "videoholmes": files.videoholmes,
    "text": files.text_,
}
BROKEN = [
    ({"problem": None}, "'problem': expected text"),
    ({"problem": 3}, "'problem': expected text"),
    ({"problem_id": None}, "'problem_id': expected text"),
    ({"problem_type": "riddle"}, "'problem_type': expected one of"),
    ({"data_type": "image"}, "'data_type': expected"),
    ({"options": "A. a cup"}, "'options': expected a list"),
    ({"options": ["A. a", 2]}, "'options': expected a list"),
    ({"options": ["A. a", "B. \ud800"]}, "'options': expected valid Unicode"),
    ({"problem": "\ud800"}, "'problem': expected valid Unicode"),
    ({"solution": "B"}, "'solution': expected <answer>"),
    ({"solution": "<answer> </answer>"}, "'solution': expected <answer>"),
    ({"solution": "<answer>F</answer>"}, "one of A, B, got 'F'"),
    ({"solution": "<answer>hat</answer>"}, "unknown gold letter"),
    ({"solution": "<answer>few</answer>", "problem_type": "regression"}, "expected a number"),
    ({"solution": "<answer>nan</answer>", "problem_type": "numerical"}, "expected a number"),
    ({"path": "../../etc/1.mp4"}, "'path': expected a path below"),
    ({"path": "."}, "'path': expected a path below"),
]


def write_rows(folder, rows, name="mmvu"):
    return files.put_json(folder / f"eval_{name}.json", rows)


@pytest.mark.parametrize("name", WRITERS)
def test_the_official_layout_gives_records_whose_videos_can_be_read(tmp_path, name):
    data = read_benchmark(name, WRITERS[name](tmp_path))
    assert (data.schema, data.refused) == ("official", ())
    assert check_videos(data.records, tmp_path) == []
    for record in data.records:
        assert record.benchmark == name and record.kind in KINDS and record.task
        assert record.gold
        assert record.kind not in (NUMBER, REGRESSION) or float(record.gold)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("head", ["./", f"./Evaluation/{'{}'}/"])
def test_rows_of_video_r1_are_read_for_every_benchmark(tmp_path, name, head):
    path = head.format(name) + "videos/Law/1.mp4"
    numeric = {"problem_type": "regression", "original_question_type": "object_counting"}
    rows = [
        files.video_r1_row(7, path, original_question_type="a kind"),
        files.video_r1_row(8, path, "2.5", options=None, **numeric),
        files.video_r1_row(9, path, "C", options=["x", "y", "z"]),
    ]
    write_rows(tmp_path, rows, name)
    files.put_clips(tmp_path, "videos/Law/1.mp4")
    data = read_benchmark(name, tmp_path)
    assert (data.schema, data.refused) == ("video_r1", ())
    first, second, third = data.records
    assert (first.id, first.gold, first.options) == ("7", "B", ("A. a cup", "B. a hat"))
    assert (second.kind, second.gold, second.options) == (REGRESSION, "2.5", ())
    assert third.options == ("A. x", "B. y", "C. z")
    assert (first.start, first.end) == (None, None)
    assert check_videos(data.records, tmp_path) == []


def test_a_folder_with_both_gives_video_r1s_unless_told_otherwise(tmp_path):
    files.mmvu(tmp_path)
    write_rows(tmp_path, [files.video_r1_row(1, "./videos/Law/1.mp4")])
    assert [r.id for r in read_benchmark("mmvu", tmp_path).records] == ["1"]
    own = read_benchmark("mmvu", tmp_path, schema="official")
    assert [r.id for r in own.records] == ["validation_1", "validation_2"]
    assert own.files == (tmp_path / "validation.json",)


@pytest.mark.parametrize(("change", "reason"), BROKEN)
def test_a_broken_row_is_refused_with_file_line_and_reason(tmp_path, change, reason):
    rows = [files.video_r1_row(n, "./videos/Law/1.mp4") for n in range(3)]
    rows[1] |= change
    path = write_rows(tmp_path, rows)
    data = read_benchmark("mmvu", tmp_path)
    assert [record.id for record in data.records] == ["0", "2"]
    (refusal,) = data.refused
    line = 1 + json.dumps(rows[:1], indent=1).count("\n")
    assert refusal.startswith(f"{path}:{line}: entry 2: ")
    assert reason in refusal and "\n" not in refusal
    with pytest.raises(UserError) as caught:
        read_benchmark("mmvu", tmp_path, strict=True)
    assert str(caught.value) == refusal


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("schema", ["official", "video_r1"])
def test_any_field_lost_or_of_another_type_leaves_the_other_rows(tmp_path, name, schema):
    """Every field of one row in turn: it is refused or read, and nothing else changes."""
    if schema == "official":
        WRITERS[name](tmp_path)
    else:
        rows = [files.video_r1_row(n, "./videos/Law/1.mp4") for n in range(3)]
        write_rows(tmp_path, rows, name)
    data = read_benchmark(name, tmp_path)
    file = data.files[0]
    whole = file.read_text()
    draw = random.Random(0)
    for key, value in sorted(first_row(file).items()):
        for bad in (None, [], {}, 5, "", -1.5, ["x"], True):
            if type(bad) is type(value):
                continue
            broken = whole.replace(
                f"{json.dumps(key)}: {json.dumps(value)}",
                f"{json.dumps(key)}: {json.dumps(bad)}",
                1,
            )
            file.write_text(broken)
            after = read_benchmark(name, tmp_path)
            assert len(after.records) + len(after.refused) == len(data.records), (key, bad)
            changed = [r for r in after.records if r not in data.records]
            assert len(changed) <= 1
            assert all(isinstance(r.problem, str) and isinstance(r.gold, str) for r in changed)
        # A stray word in the place of the value ends a JSON file, and one line of lines.
        cut = whole.replace(json.dumps(key), draw.choice(["}", "nonsense", '"']), 1)
        file.write_text(cut)
        try:
            after = read_benchmark(name, tmp_path)
            assert after.refused
        except UserError as error:
            assert "not one usable row" in str(error)


def first_row(file):
    return next(
        row.value for depth in (1, 2, 3) for row in read_rows(file, depth) if "q" in leaf(row.value)
    )


def leaf(value):
    known = isinstance(value, dict) and {"question", "problem", "Question"} & value.keys()
    return "q" if known else ""


def test_a_row_under_a_key_that_is_no_text_is_refused(tmp_path):
    files.tempcompass_(tmp_path)
    file = tmp_path / "questions" / "yes_no.json"
    values = json.loads(file.read_text())
    first = next(iter(values))
    file.write_text(json.dumps({"\ud800": values.pop(first), **values}))
    data = read_benchmark("tempcompass", tmp_path)
    assert data.refused
    assert all("expected valid Unicode, got '\\ud800'" in refusal for refusal in data.refused)


def test_rows_that_are_no_objects_are_refused(tmp_path):
    rows = [files.video_r1_row(1, "./videos/Law/1.mp4"), 7, "row", None, [], True]
    write_rows(tmp_path, rows)
    data = read_benchmark("mmvu", tmp_path)
    assert len(data.records) == 1
    assert len(data.refused) == 5
    assert all("expected an object" in refusal for refusal in data.refused)


def test_a_torn_file_keeps_what_lies_before_the_tear(tmp_path):
    path = write_rows(tmp_path, [files.video_r1_row(n, "./videos/Law/1.mp4") for n in range(4)])
    text = path.read_text()
    for end in (len(text) - 1, text.rindex("}"), text.rindex("problem_id"), text.rindex(",")):
        path.write_text(text[:end])
        data = read_benchmark("mmvu", tmp_path)
        assert [r.id for r in data.records][:3] == ["0", "1", "2"]
        assert len(data.refused) == 1 and "not JSON" in data.refused[0]


def test_a_torn_line_is_refused_and_the_next_is_read(tmp_path):
    rows = files.vsibench_rows()
    path = files.put_lines(tmp_path / "test.jsonl", rows)
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:40]
    path.write_text("\n\n".join(lines))
    data = read_benchmark("vsibench", tmp_path)
    assert len(data.records) == len(rows) - 1
    assert data.refused[0].startswith(f"{path}:7: entry 4: not JSON")


def test_a_set_with_ids_that_repeat_is_refused(tmp_path):
    rows = [files.video_r1_row(n, f"./videos/Law/{m}.mp4") for m, n in enumerate((1, 5, 5, 1, 5))]
    write_rows(tmp_path, rows)
    with pytest.raises(UserError, match=r"'1' is there 2 times \(2 such ids\)"):
        read_benchmark("mmvu", tmp_path)


def test_limit_and_selection(tmp_path):
    files.mmvu(tmp_path)

    def last_first(records):
        return tuple(dataclasses.replace(r, task="seen") for r in reversed(records))

    data = read_benchmark("mmvu", tmp_path, limit=1, select=last_first)
    assert [(r.id, r.task) for r in data.records] == [("validation_2", "seen")]
    with pytest.raises(UserError, match="--limit: expected at least 1"):
        read_benchmark("mmvu", tmp_path, limit=0)


def test_what_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="'mmvu'"):
        read_benchmark("mmvuu", tmp_path)
    with pytest.raises(UserError, match="--data: expected the folder"):
        read_benchmark("mmvu")
    with pytest.raises(UserError, match="--data: expected a folder"):
        read_benchmark("mmvu", tmp_path / "none")
    with pytest.raises(UserError, match=r"expected eval_mmvu\.json or validation\.json"):
        read_benchmark("mmvu", tmp_path)
    (tmp_path / "validation.json").write_text("[]")
    with pytest.raises(UserError, match="expected rows, found none"):
        read_benchmark("mmvu", tmp_path)
    (tmp_path / "validation.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="expected a readable annotation file"):
        read_benchmark("mmvu", tmp_path)
    assert set(BENCHMARKS) == {"shapes", *LAYOUTS}


def test_parquet_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "test-00000-of-00001.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"pip install 'vreason-jax\[parquet\]'"):
        read_benchmark("vsibench", tmp_path)


@pytest.mark.parametrize(
    ("name", "path", "rows"),
    [
        ("vsibench", "test-00000-of-00001.parquet", files.vsibench_rows()),
        ("videomme", "videomme/test-00000-of-00001.parquet", files.videomme_rows()),
    ],
)
def test_parquet_gives_the_records_of_the_lines(tmp_path, name, path, rows):
    parquet = pytest.importorskip("pyarrow.parquet", reason="install the extra `parquet`")
    import pyarrow

    lines, table = tmp_path / "lines", tmp_path / "table"
    files.put_lines(lines / "test.jsonl", rows)
    (table / path).parent.mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), table / path)
    assert read_benchmark(name, table).records == read_benchmark(name, lines).records
    (table / path).write_bytes(b"no table")
    with pytest.raises(UserError, match="expected a readable Parquet file"):
        read_benchmark(name, table)
    files.put_lines(table / "test.jsonl", rows[:1])
    assert len(read_benchmark(name, table).records) == 1  # lines need no further package


def test_exported_shapes_are_the_questions_that_are_drawn(tmp_path):
    assert shapes_main(["--count", "8", "--out", str(tmp_path)]) == 0
    files, drawn = read_benchmark("shapes", tmp_path), read_benchmark("shapes", limit=8)
    assert (files.schema, files.refused) == ("video_r1", ())
    for file, other in zip(files.records, drawn.records, strict=True):
        same = ("problem", "options", "gold", "kind", "task", "subset")
        assert [getattr(file, name) for name in same] == [getattr(other, name) for name in same]
        assert file.video == f"videos/{other.video}.mp4"
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    with pytest.raises(UserError, match=r"expected eval_shapes\.json in .*nowhere"):
        read_benchmark("shapes", nowhere)


def test_questions_in_words_need_no_ids_of_their_own(tmp_path):
    line = json.dumps({"question": "Why?", "options": [], "answer": "\u22123", "id": None})
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f"{line}\n{line.replace('Why', 'How')}\n")
    records = read_benchmark("text", tmp_path).records
    assert [record.id for record in records] == ["a/1", "a/2", "b/1", "b/2"]
    assert {(record.gold, record.options) for record in records} == {("-3", ())}


@pytest.mark.parametrize("gold", ["1,2,3", "3,5"])
def test_a_comma_in_a_number_stands_between_thousands(tmp_path, gold):
    row = {"question": "How many?", "answer": gold}
    (tmp_path / "text.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(UserError, match="expected a number as the answer"):
        read_benchmark("text", tmp_path)


def test_a_list_may_be_called_json_lines(tmp_path):
    rows = [{"question": "Why?", "answer": "3"}, {"question": "How?", "answer": "4"}]
    (tmp_path / "text.jsonl").write_text(json.dumps(rows))
    assert len(read_benchmark("text", tmp_path).records) == 2
