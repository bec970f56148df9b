import json
import logging

import pytest
from evaluation_samples import random_rows, sample_line, sample_run_facts, write_run

from vreason_jax import report
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, Record
from vreason_jax.evaluation.results.questions import keep_words


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command line in this process; returns exit code, stdout and stderr."""
    # The program silences libraries for the whole process, of which it is here a guest.
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)

    def call(*arguments):
        code = report.main([str(argument) for argument in arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def test_one_folder_gets_its_own_report_and_summary(tmp_path, run):
    folder = write_run(tmp_path / "run", random_rows(5), sample_run_facts())
    code, out, _ = run(folder)
    assert (code, out) == (0, f"{folder / 'report.html'}\n")
    assert json.loads((folder / "summary.json").read_text())["questions"] == 5
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def test_several_folders_are_merged_into_report(tmp_path, run, monkeypatch):
    rows = random_rows(6)
    folders = [
        write_run(tmp_path / name, part) for name, part in (("a", rows[:9]), ("b", rows[9:]))
    ]
    monkeypatch.chdir(tmp_path)
    assert run(*folders)[0] == 0
    assert json.loads((tmp_path / "report/summary.json").read_text())["questions"] == 6
    assert not (folders[0] / "report.html").exists()


@pytest.mark.parametrize(
    ("out", "page"), [("new/place", "new/place/report.html"), ("one.html", "one.html")]
)
def test_out_is_a_folder_or_a_file(tmp_path, run, out, page):
    folder = write_run(tmp_path / "run", [sample_line()])
    assert run(folder, "--out", tmp_path / out)[1] == f"{tmp_path / page}\n"
    assert (tmp_path / page).is_file()
    assert (tmp_path / page).with_name("summary.json").is_file()


def test_models_are_told_apart(tmp_path, run):
    folders = [
        write_run(tmp_path / name, [sample_line(model=f"hub/{name}")])
        for name in ("small", "large")
    ]
    assert run(*folders, "--out", tmp_path)[0] == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary["methods"]) == ["small · baseline", "large · baseline"]


def test_answers_without_the_lecture_give_the_knowledge_gain(tmp_path, run):
    asked = {"benchmark": "videommmu", "task": "Adaptation"}
    for name, right in (("with", 3), ("without", 2)):
        rows = [sample_line(n, score=float(n < right), **asked) for n in range(4)]
        write_run(tmp_path / name, rows)
    assert run(tmp_path / "with", "--before", tmp_path / "without")[0] == 0
    summary = json.loads((tmp_path / "with" / "summary.json").read_text())
    official = summary["methods"]["baseline"]["official"]
    values = {name: figure["value"] for name, figure in official.items()}
    assert values == {"accuracy": 0.75, "knowledge gain": 0.5}


def test_two_methods_are_told_apart_question_by_question(tmp_path, run):
    said = {"a": "AABB", "b": "ABCB"}
    rows = [
        sample_line(n, name, score=float(letter == "A"), answer=letter, id=f"q{n}\x1b[2J")
        for name, letters in said.items()
        for n, letter in enumerate(letters)
    ]
    folder = write_run(tmp_path / "run", [*rows, sample_line(9, "b")])
    code, out, _ = run(folder, "--diff", "b", "a")
    assert code == 0
    assert out.splitlines() == [
        "a against b, 5 answers",
        "      1 better", "      1 other answer", "      2 same answer", "      1 one method only",
        "", "better:", "  q1\\x1b[2J, order, gold A: B (0) -> A (1)",
        "", "other answer:", "  q2\\x1b[2J, colour, gold A: C (0) -> B (0)",
        "", f"{folder / 'report.html'}",
    ]  # fmt: skip


def test_a_method_of_one_seed_stands_beside_every_seed_of_the_other(tmp_path, run):
    rows = [sample_line(0, "greedy"), *(sample_line(0, "warm", n, float(n > 1)) for n in (1, 2))]
    folder = write_run(tmp_path / "run", rows)
    out = run(folder, "--diff", "greedy", "warm")[1]
    assert out.startswith("warm against greedy, 2 answers\n      1 worse\n      1 same answer\n")


def test_a_method_that_is_not_there_is_one_line(tmp_path, run):
    folder = write_run(tmp_path / "run", [sample_line(0, "baseline"), sample_line(0, "vreason")])
    code, out, err = run(folder, "--diff", "baseline", "vreson")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "expected two methods of baseline, vreason; got 'vreson'; the nearest" in err
    assert not (folder / "report.html").exists()


def wrong_line(folder):
    (folder / "predictions.jsonl").write_text("{}\n{}\n")


def no_lines(folder):
    (folder / "predictions.jsonl").write_text("")


def no_file(folder):
    (folder / "predictions.jsonl").unlink()


def wrong_record(folder):
    (folder / "run.json").write_text("[")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (wrong_line, "predictions.jsonl, line 1: no answer, benchmark"),
        (no_lines, "expected at least one answer, the file has none"),
        (no_file, "found no predictions.jsonl in it"),
        (wrong_record, "run.json: expected a readable JSON file"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path, run, spoil, message):
    folder = write_run(tmp_path / "run", [sample_line()])
    spoil(folder)
    code, out, err = run(folder)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (folder / "report.html").exists()


def test_two_different_answers_name_both_folders(tmp_path, run):
    folders = [write_run(tmp_path / name, [sample_line(text=name)]) for name in ("a", "b")]
    code, _, err = run(*folders, "--out", tmp_path / "out")
    assert code == 2
    assert all(str(folder) in err for folder in folders)
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_and_a_folder_that_cannot_be(tmp_path, run):
    folder = write_run(tmp_path / "run", [sample_line()])
    assert "the nearest known one is '--out'" in run(folder, "--ou", "x")[2]
    (tmp_path / "file").write_text("")
    code, _, err = run(folder, "--out", tmp_path / "file" / "deeper")
    assert code == 2
    assert "cannot make the folder" in err


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_name_that_no_folder_can_have(tmp_path, run, value):
    folder = write_run(tmp_path / "run", [sample_line()])
    for flags in ([value], [folder, "--out", value], [folder, "--before", value]):
        code, out, err = run(*flags)
        assert (code, out, err.count("\n")) == (2, "", 1)


def asked_run(folder, *rows, facts=None):
    """A run of multiple-choice questions with their words, for other rules to score."""
    keep_words(
        folder,
        [
            Record(
                row["id"], "shapes", row["video"], "What?", ("A. cup", "B. hat"), "A", CHOICE, "t"
            )
            for row in rows
        ],
        (),
    )
    return write_run(folder, list(rows), facts)


def test_lines_are_scored_by_another_rule_beside_those_that_stay(tmp_path, run):
    (tmp_path / "run").mkdir()
    wordy = sample_line(0, text="The answer is A", score=0.0, status="no_answer", answer=None)
    cut = sample_line(1, text="<think>A", score=1.0, status="truncated")
    missing = sample_line(2, text="", score=0.0, status="missing_video")
    folder = asked_run(tmp_path / "run", wordy, cut, missing, facts=sample_run_facts())
    before = (folder / "predictions.jsonl").read_bytes()
    code, out, _ = run("--rescore", "official", folder)
    new = folder / "scored_by_official"
    assert (code, out) == (0, f"{new / 'report.html'}\n")
    assert (folder / "predictions.jsonl").read_bytes() == before
    lines = [json.loads(row) for row in (new / "predictions.jsonl").read_text().splitlines()]
    assert [(line["score"], line["status"], line["answer"]) for line in lines] == [
        (1.0, "ok", "A"), (0.0, "truncated", None), (0.0, "missing_video", "B"),
    ]  # fmt: skip
    assert json.loads((new / "summary.json").read_text())["methods"]["baseline"]["score"]["value"]
    assert "Scored by the rule of official; asked as video_r1 says" in (
        (new / "report.html").read_text()
    )


def test_what_cannot_be_scored_again_is_refused(tmp_path, run):
    folder = write_run(tmp_path / "run", [sample_line()], sample_run_facts())
    code, _, err = run("--rescore", "official", folder)
    assert code == 2 and "expected 'q00000' in" in err
    code, _, err = run("--rescore", "offical", folder)
    assert code == 2 and "official" in err
    code, _, err = run("--rescore", "official", folder, "--out", folder)
    assert code == 2 and f"{folder} holds a run" in err


def test_scores_of_another_rule_stand_apart_from_those_that_were_given(tmp_path, run):
    """A rescored folder is a run of its own: it takes no other's lines, and joins none."""
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        row = sample_line(0 if part == "a" else 1, text="The answer is A", score=0.0)
        asked_run(tmp_path / part, row, facts=sample_run_facts())
    assert run(tmp_path / "a", "--rescore", "official")[0] == 0
    new = tmp_path / "a" / "scored_by_official"
    code, _, err = run(new, tmp_path / "b", "--out", tmp_path / "both")
    assert code == 2 and "expected baseline to mean the same in both" in err
    assert (
        run(new)[0] == 0 and "Scored by the rule of official" in (new / "report.html").read_text()
    )
    other = write_run(tmp_path / "other", [sample_line(5)])
    for flags in (("--rescore", "official"), ()):
        code, _, err = run(tmp_path / "a", *flags, "--out", other)
        assert code == 2 and f"{other} holds a run" in err
    code, _, err = run(tmp_path / "a", "--rescore", "official", "--out", "page.html")
    assert code == 2 and "expected a folder" in err


def test_a_rule_scores_the_questions_that_its_protocol_asks(tmp_path, run):
    (tmp_path / "run").mkdir()
    rows = [sample_line(n, benchmark="mmvu", text="<answer>A</answer>", score=1.0) for n in (0, 1)]
    words = [
        Record("q00000", "mmvu", "a.mp4", "What?", ("A. cup", "B. hat"), "A", CHOICE, "t"),
        Record("q00001", "mmvu", "a.mp4", "What?", (), "cup", FREE, "t"),
    ]
    keep_words(tmp_path / "run", words, ())
    write_run(tmp_path / "run", rows, sample_run_facts())
    assert run(tmp_path / "run", "--rescore", "video_r1")[0] == 0
    new = tmp_path / "run" / "scored_by_video_r1"
    assert json.loads((new / "summary.json").read_text())["questions"] == 1
    assert "1 questions that video_r1 does not ask are left out" in (
        (new / "report.html").read_text()
    )


def test_the_gain_is_over_the_same_models_answers(tmp_path, run):
    asked = {"benchmark": "videommmu", "task": "Adaptation"}
    for name, model, right in (("after", "a", 3), ("before", "a", 2), ("other", "b", 1)):
        rows = [sample_line(n, model=model, score=float(n < right), **asked) for n in range(4)]
        write_run(tmp_path / name, rows)
    code, _, err = run(tmp_path / "after", "--before", tmp_path / "other")
    assert code == 2 and "found none" in err
    before = ("--before", tmp_path / "before", "--before", tmp_path / "other")
    write_run(tmp_path / "last", [sample_line(n, model="b", score=1.0, **asked) for n in range(4)])
    assert run(tmp_path / "after", tmp_path / "last", *before, "--out", tmp_path / "all")[0] == 0
    methods = json.loads((tmp_path / "all" / "summary.json").read_text())["methods"]
    gains = {name: m["official"]["knowledge gain"]["value"] for name, m in methods.items()}
    assert gains == {"a · baseline": 0.5, "b · baseline": 1.0}
