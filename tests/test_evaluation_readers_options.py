"""Options keep their letters, or move together with the gold answer."""

import benchmark_files as files
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutation_rows import TARGETS
from mutation_runs import Trial

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.locate import locate
from vreason_jax.evaluation.benchmarks.options import LETTERS, choices
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError
from vreason_jax.evaluation.readers import read_benchmark


@pytest.mark.parametrize(
    ("options", "gold", "meant"),
    [
        (["A. red", "C. green", "D. blue"], "C", "C. green"),
        (["B. green", "A. red", "C. blue"], "B", "B. green"),
        (["(A) red", "(C) green"], "C", "C. green"), (["A) red", "D) green"], "D", "D) green"),
        (["A: red", "B: green"], "(B)", "B: green"), ([" a. red", " b. green"], "b", "B. green"),
        (["\uff21\uff0e red", "\uff22\uff0e green"], "\uff22", "B. green"),
        (["1. red", "2. green", "3. blue"], "2", "B. green"),
        (["0) red", "1) green"], 1, "B. green"),
        (["red", "green"], "B", "B. green"), (["A. red", "B. green", "none"], "C", "C. none"),
        (["J. Smith", "K. Jones"], "B", "B. K. Jones"), (["1.5 m", "2.5 m"], "B", "B. 2.5 m"),
        ({"A": "red", "D": "green"}, "D", "D. green"),
        ({"A": "A. red", "B": "B. green"}, "B", "B. green"),
        ('["A. red", "C. green"]', "C", "C. green"), ("['red', 'green']", "B", "B. green"),
        (["3", "4", "5"], "4", "B. 4"), (["3", "4", "5"], "B", "B. 4"),
        (["2", "3", "1"], 1, "C. 1"),
        (["10", "20"], "A", "A. 10"), (["red", "light green"], "light green", "B. light green"),
        (["1, 2, 3", "2, 3, 1", "3, 1, 2"], "B", "B. 2, 3, 1"), (["A, B", "B, A"], "A", "A. A, B"),
        (["1. red", "2. green"], "B", "B. green"), (["A, red", "C, green"], "C", "C. green"),
        ("A. red\nC. green", "C", "C. green"), ([f"{c}. {c}" for c in LETTERS], "Z", "Z. Z"),
    ],
)  # fmt: skip
def test_the_gold_letter_means_the_option_that_it_meant(options, gold, meant):
    shown, letter = choices(options, gold)
    (found,) = [option for option in shown if option[0] == letter]
    assert found == meant


@pytest.mark.parametrize(
    ("options", "gold"),
    [
        (["A. red", "A. green"], "A"), (["A. red", "C. green"], "B"),
        (["A. red", "green", "D. b"], "B"),
        (["1. red", "2. green"], "3"), (["red", "green"], "2"), (["red", "green"], "C"),
        (["red", "red", "green"], "red"), (["2. red", "1. green"], "B"),
        (["red"] * 34, "B"), (["red"], "A"), (["red", 2], "A"),
        ("red", "A"), ([], "A"), ("[" * 10**5, "A"),
    ],
)  # fmt: skip
def test_what_could_mean_either_is_refused(options, gold):
    with pytest.raises(BrokenRowError):
        choices(options, gold)


@given(st.data())
def test_any_letters_in_any_order_and_form_keep_their_texts(data):
    letters = data.draw(st.lists(st.sampled_from("ABCDEFGH"), min_size=2, unique=True))
    form = data.draw(st.sampled_from(("{}. {}", "({}) {}", "{}) {}", " {}: {}", "[{}] {}")))
    written = [form.format(letter, f"thing {letter}") for letter in letters]
    gold = data.draw(st.sampled_from(letters))
    if "A" not in letters and not set(letters) & set(LETTERS[: len(letters)]):
        return
    shown, letter = choices(written, gold)
    assert [option[0] for option in shown] == letters
    assert (letter, f"thing {gold}" in shown[letters.index(gold)]) == (gold, True)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_damaged_annotation_gives_questions_or_one_line_a_row(target):
    with Trial(target) as trial:
        outcomes = [trial.try_one(seed) for seed in range(8)]
    assert [outcome for outcome in outcomes if outcome.fault] == []


@pytest.mark.parametrize(
    "change",
    [
        {"path": "x" * 300 + ".mp4"}, {"path": "a/" * 1000 + "1.mp4"}, {"path": "a\0.mp4"},
        {"path": "../1.mp4"}, {"path": "a/../../1.mp4"}, {"problem_id": "\ud800"},
        {"problem": "half \udc00"}, {"path": "\ud800.mp4"}, {"options": ["x"] * 34},
        {"start": 3, "end": 2}, {"start": "x"}, {"solution": "<answer>" * 10**5},
    ],
)  # fmt: skip
def test_a_row_that_no_file_system_could_serve_is_refused(tmp_path, change):
    rows = [files.video_r1_row(n, "./videos/1.mp4") for n in range(2)]
    files.put_json(tmp_path / "eval_mmvu.json", [rows[0], rows[1] | change])
    data = read_benchmark("mmvu", tmp_path)
    assert (len(data.records), len(data.refused)) == (1, 1)
    assert data.refused[0].isprintable() and len(data.refused[0]) < 500


def test_rows_that_repeat_another_in_all_are_left_out_with_a_notice(tmp_path):
    row = files.video_r1_row(1, "./videos/1.mp4")
    files.put_json(tmp_path / "eval_mmvu.json", [row, row, row])
    data = read_benchmark("mmvu", tmp_path)
    assert len(data.records) == 1 and "2 rows repeat" in data.notices[0]


def test_links_out_of_the_folder_need_leave_and_names_compare_in_nfc(tmp_path):
    outside, folder = tmp_path / "else", tmp_path / "data"
    files.put_clips(outside, "1.mp4")
    files.put_clips(folder, "videos/cafe\u0301.mp4")
    (folder / "videos" / "2.mp4").symlink_to(outside / "1.mp4")
    (folder / "videos" / "3.mp4").symlink_to(outside / "gone.mp4")
    rows = [files.video_r1_row(n, f"./videos/{n}.mp4") for n in (2, 3)]
    rows.append(files.video_r1_row(4, "./videos/caf\u00e9.mp4"))
    files.put_json(folder / "eval_mmvu.json", rows)
    link, broken, accented = read_benchmark("mmvu", folder).records
    with pytest.raises(UserError, match="--allow-outside"):
        locate(link, folder)
    assert locate(link, folder, allow_outside=True).is_file()
    with pytest.raises(UserError, match="--allow-outside"):
        locate(broken, folder)
    with pytest.raises(UserError, match="found none"):
        locate(broken, folder, allow_outside=True)
    assert locate(accented, folder).is_file()


def test_the_rows_times_reach_the_official_protocol_alone(tmp_path):
    from vreason_jax.evaluation.scoring.protocol import load_protocol

    row = files.video_r1_row(1, "./videos/1.mp4", start=1.5, end=4)
    files.put_json(tmp_path / "eval_mvbench.json", [row])
    for name, times in (("official", (1.5, 4.0)), ("video_r1", (None, None))):
        (record,) = read_benchmark("mvbench", tmp_path, select=load_protocol(name).select).records
        assert (record.start, record.end) == times


@pytest.mark.parametrize(
    ("options", "gold", "meant"),
    [
        (["red", "green"], "Green", "B. green"), (["A. red", "B. green"], "green", "B. green"),
        (["A. red", "B. green"], "Option B", "B. green"), ([3, 4, 5], "B", "B. 4"),
        ({"A": 3, "B": 4}, "B", "B. 4"), ("('A. x', 'B. y')", "B", "B. y"),
        (["B. subtilis", "E. coli", "S. aureus", "H. pylori"], "B", "B. E. coli"),
        (["P.M.", "A.M."], "A", "A. P.M."), (["3.", "4."], "B", "B. 4."),
        (["A", "B", "AB", "O"], "C", "C. AB"),
        (["A, then B", "B, then A", "neither"], "A", "A. A, then B"),
        (["B, then A", "A, then B"], "A", "A. B, then A"),
    ],
)  # fmt: skip
def test_what_looks_like_a_mark_is_read_as_a_person_reads_it(options, gold, meant):
    texts, letter = choices(options, gold)
    assert next(text for text in texts if text[0] == letter) == meant


@pytest.mark.parametrize("gold", ["A, B", "A. B", "1, 2", "A and B"])
def test_several_gold_answers_are_refused(gold):
    with pytest.raises(BrokenRowError):
        choices(["red", "green", "blue"], gold)
