"""What a report tells, and the page that it makes."""

import base64
import re
import types
from typing import Any

import numpy as np
import pytest
from evaluation_samples import TASKS, random_rows, sample_line, sample_run_facts, write_run
from report_pages import Checker, check, data_of, page_of

from vreason_jax.evaluation import report
from vreason_jax.evaluation.benchmarks import vsibench
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.report import answers, score_sections
from vreason_jax.evaluation.report.markup import keep_units
from vreason_jax.evaluation.results.frames import FOLDER, frames_path, write_frames
from vreason_jax.evaluation.results.questions import keep_words
from vreason_jax.evaluation.results.runs import merge_runs
from vreason_jax.evaluation.running.evaluation import Evaluation
from vreason_jax.evaluation.statistics import summary

SECTIONS = [
    "results", "tokens", "tasks", "entropy", "confidence", "cost", "failures", "answers", "configs",
]  # fmt: skip


def test_the_end_of_a_run_sums_its_lines_once(tmp_path, monkeypatch):
    path = write_run(tmp_path / "run", random_rows(2))
    folder = types.SimpleNamespace(path=path, owned=True, has_lines=lambda: True)
    summed = []
    for module in (summary, report):
        whole = module.summarise
        monkeypatch.setattr(module, "summarise", lambda *a, f=whole: summed.append(a) or f(*a))
    run: Any = types.SimpleNamespace(folder=folder, _tell=lambda line: None)
    Evaluation.finish(run)
    assert len(summed) == 1
    assert (path / "summary.json").exists() and (path / "report.html").exists()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    rows = random_rows(1_000)
    for row in rows:
        row["text"] = "<think>" + "The red square moves & turns left. " * 40 + row["text"]
    folder = tmp_path_factory.mktemp("large")
    return page_of(folder, rows, sample_run_facts(), traces=True, distinct=90)


def test_three_thousand_lines_with_traces_make_one_small_file(large):
    assert len(large.encode()) < 5_000_000
    checker = check(large)
    assert checker.count("svg") > 15
    sections = [a["id"] for name, a in checker.elements if name == "section"]
    assert sections == SECTIONS


def test_all_answers_are_in_the_page_with_their_traces(large):
    data = data_of(large)
    assert len(data["questions"]) == 1_000
    assert {len(column) for column in data["answers"].values()} == {3_000}
    assert data["answers"]["line"] == list(range(1, 3_001))
    assert all(spark["entropy"] and len(spark["alpha"]) <= 96 for spark in data["answers"]["spark"])
    assert data["chosen"] == ["baseline", "vreason"]


def test_texts_and_traces_of_many_answers_are_cut_to_what_a_page_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "TEXTS", 600)
    rows = [sample_line(n, text="x" * 500) for n in range(6)]
    data = data_of(page_of(tmp_path, rows))
    assert data["answers"]["text"] == ["x" * 100 + " … [400 more characters]"] * 6
    sparks = answers.Sparks(answers.SPARKS)
    sparks.add(merge_runs([tmp_path / "run"]).lines[0], {"entropy": np.ones(3)})
    assert not sparks


def test_frames_of_a_run_are_in_the_page_as_far_as_it_has_room(tmp_path, monkeypatch):
    scores = {"a": (1.0, 1.0, 1.0), "b": (1.0, 1.0, 0.0)}
    rows = [sample_line(n, name, score=scores[name][n]) for n in range(3) for name in "ab"]
    folder = write_run(tmp_path / "run", rows)
    (folder / FOLDER).mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (20, 56, 84, 3), dtype=np.uint8)
    for n in range(3):
        write_frames(frames_path(folder, f"{n}.mp4"), frames, np.arange(20) / 2)

    def pictures(room):
        monkeypatch.setattr(answers, "FRAMES", room)
        report.write([folder], tmp_path / "summary.json", tmp_path / "report.html")
        questions = data_of((tmp_path / "report.html").read_text())["questions"]
        return [question["picture"] for question in questions]

    found = pictures(10**6)
    assert all(len(picture["times"]) == 16 and picture["of"] == 20 for picture in found)
    small = pictures(24_000)
    assert all(len(base64.b64decode(picture["jpeg"])) <= 8_000 for picture in small)
    monkeypatch.setattr(answers, "PICTURE", 8_000)
    assert [picture is not None for picture in pictures(8_000)] == [False, False, True]  # they part


def test_every_width_is_left_to_the_page(large):
    checker = Checker(large)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        checker.elements
    )
    assert all("width" not in a for name, a in checker.elements if name == "svg")
    tables = re.findall(r"(.{60})<table>", large)
    assert len(tables) == checker.count("table")
    assert all('class="scroll"' in before for before in tables)
    assert "prefers-color-scheme: dark" in large


def test_the_numbers_of_the_summary_stand_in_the_page(tmp_path):
    rows = [sample_line(n, score=float(n < 13)) for n in range(40)]
    rows += [sample_line(n, "vreason", score=float(n < 29)) for n in range(40)]
    words = " ".join(check(page_of(tmp_path, rows)).words)
    assert "32.5  ± 7.5" in words
    assert "vreason scores 40.0 points above baseline" in words
    assert "in accuracy (95\xa0% interval" in words
    assert "; p < 0.001 by McNemar)." in words
    assert "do not tell the two apart" not in words


def test_two_identical_methods_are_not_told_apart(tmp_path):
    rows = random_rows(30, ("baseline",))
    rows += [{**row, "method": "twin"} for row in rows]
    words = " ".join(check(page_of(tmp_path, rows)).words)
    assert "No score differs between twin and baseline" in words
    assert "at most 11.6\xa0% do (exact 95\xa0% bound)" in words
    assert "These questions do not tell the two apart" in words


def test_methods_with_other_questions_are_told(tmp_path):
    rows = random_rows(8, ("baseline", "vreason"))
    warning = "The methods have answered different questions"
    assert warning not in page_of(tmp_path, rows)
    assert warning in page_of(tmp_path / "part", rows[:-1])


def test_the_verdict_speaks_of_the_figure_that_the_authors_report(tmp_path):
    tasks = ("Fine-grained Action", "Object Shuffle")
    rows = [
        sample_line(n, method, benchmark="mvbench", task=tasks[n < 8], score=float(n % 3 > place))
        for n in range(40)
        for place, method in enumerate(("baseline", "vreason", "lite"))
    ]
    words = " ".join(check(page_of(tmp_path, rows)).words)
    assert "points below baseline in mean of 2 tasks (95" in words
    assert "by Holm for 2 differences" in words
    assert "difference in mean of 2 tasks, points" in words


def test_changes_chance_and_the_control_are_shown(tmp_path):
    rows = [sample_line(n, gold="AB"[n % 3 == 0]) for n in range(12)]
    compared = {"changed": True, "delta_logit": 0.0125, "kl": 1.5e-6}
    rows += [{**row, "method": "vreason", **compared} for row in rows]
    checker = check(page_of(tmp_path, rows, sample_run_facts(("baseline",), control="shuffled")))
    assert {"0.0125", "1.5e−06", "100.0", "What a method changes", "shuffled"} <= {*checker.words}
    assert checker.words.count("best constant answer: 66.7 %") == len(TASKS)


def test_without_a_comparison_there_is_no_table_of_it(tmp_path):
    words = check(page_of(tmp_path, random_rows(4))).words
    assert "What a method changes" not in words


def test_models_and_files_cannot_write_html(tmp_path):
    evil = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"
    text = {"text": evil, "answer": evil, "gold": evil, "task": evil, "subset": evil, "id": evil}
    rows = [sample_line(0, evil, model=evil, **text), sample_line(1, "other", model=evil)]
    facts = sample_run_facts((evil, "other"), notes=[evil], model=evil, protocol=evil)
    text = page_of(tmp_path, rows, facts)
    checker = Checker(text)
    assert checker.wrong == []
    assert (checker.count("script"), checker.count("img")) == (2, 0)
    assert any(evil in words for words in checker.words)
    assert data_of(text)["answers"]["text"][0] == evil
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)


@pytest.mark.parametrize("traces", [False, True])
def test_one_answer_without_a_record_of_its_run_is_enough(tmp_path, traces):
    text = page_of(tmp_path, [sample_line(tokens=1)], traces=traces)
    sections = {a["id"] for name, a in check(text).elements if name == "section"}
    assert ("entropy" in sections) is traces
    assert "configs" not in sections


def test_a_run_whose_videos_all_failed_can_be_shown(tmp_path):
    failed = {"status": "missing_video", "tokens": 0, "seconds": {}, "answer_probability": None}
    rows = [sample_line(n, name, 0, 0.0, **failed) for n in range(3) for name in ("a", "b")]
    checker = check(page_of(tmp_path, rows, sample_run_facts(("a", "b"))))
    assert "missing video" in checker.words


def test_regression_alone_is_shown_as_mra(tmp_path):
    rows = [sample_line(n, score=0.1 * n, kind="regression") for n in range(5)]
    words = check(page_of(tmp_path, rows)).words
    assert "MRA,\N{NO-BREAK SPACE}%" in words
    assert "accuracy,\N{NO-BREAK SPACE}%" not in words


def test_vsibenchs_levels_are_one_task_and_shown_beside_it(tmp_path):
    tasks = (*vsibench.DIRECTIONS, "route_planning")
    rows = [sample_line(n, task=task, benchmark="vsibench") for n, task in enumerate(tasks)]
    words = check(page_of(tmp_path, rows)).words
    assert "as its authors report: mean of 2 of 8 tasks" in words
    assert "object_rel_direction · 3" in words
    assert words.count("object_rel_direction_easy") == 1  # in the table of levels alone


def test_questions_have_their_words_where_they_were_kept(tmp_path):
    folder = write_run(tmp_path / "run", [sample_line(0), sample_line(1)])
    options = ("A. a cup", "B. a <hat>")
    record = Record("q00000", "shapes", "0.mp4", "What fell & where?", options, "A", CHOICE, "t")
    keep_words(folder, [record], ())
    report.write([folder], tmp_path / "summary.json", tmp_path / "report.html")
    known, unknown = data_of((tmp_path / "report.html").read_text(encoding="utf-8"))["questions"]
    assert (known["problem"], known["options"]) == ("What fell & where?", list(options))
    assert (unknown["problem"], unknown["options"]) == (None, [])


def test_traces_with_gaps_leave_gaps(tmp_path):
    folder = write_run(tmp_path / "run", random_rows(4), traces=True)
    for path in (folder / "traces").iterdir():
        arrays = dict(np.load(path))
        arrays["entropy"][3:9] = np.nan
        arrays["ema"][:] = np.inf
        np.savez(path, **arrays)
    report.write([folder], tmp_path / "summary.json", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    check(text)
    assert not re.search(r"nan|infinity", text.partition("<script")[0], re.I)
    assert data_of(text)["answers"]["spark"][0]["ema"][:3] == [None] * 3


def test_a_session_says_its_programs_and_how_much_of_what_it_computed_was_padding(tmp_path):
    page = page_of(tmp_path, random_rows(5), sample_run_facts(("baseline",)))
    for head in ("programs compiled", "programs from the cache", "padded tokens, %"):
        assert f">{keep_units(head)}</th>" in page
    assert all(f">{value}</td>" in page for value in ("11", "2", "24.0"))  # 1 - 760 / 1000


def test_devices_and_meshes_are_told_in_words(tmp_path):
    facts = sample_run_facts(("baseline",))
    facts["sessions"][0] |= {"devices": ["cpu", "cpu"], "mesh": {"data": 2, "model": 1}}
    page = page_of(tmp_path, random_rows(5), facts)
    assert "<td>cpu, cpu</td><td>2 × 1</td>" in page


def test_an_older_record_of_a_run_may_lack_anything(tmp_path):
    facts = {"sessions": [{}, {"seconds": {"decode": 3.0}, "counts": None, "peak_bytes": None}]}
    elements = check(page_of(tmp_path, random_rows(5), facts)).elements
    assert "results" in {attributes["id"] for name, attributes in elements if name == "section"}


def test_many_methods_are_told_in_one_sentence(tmp_path):
    names = [f"k{n}" for n in range(12)]
    text = page_of(tmp_path, random_rows(20, names), sample_run_facts(names), traces=True)
    checker = check(text)
    words = [a for name, a in checker.elements if name == "text" and "label" in a.get("class", "")]
    assert not [label for label in words if float(label["x"]) > 100]  # the key has the names
    story = report.tell(merge_runs([tmp_path / "run"]))
    (sentence,) = score_sections.verdicts(story)
    assert sentence.startswith("11 differences to the first method")
    assert len({story.tone(name) for name in names}) == 12


def test_labels_of_several_models_keep_what_tells_them_apart(tmp_path):
    for size in ("3B", "7B"):
        model = f"Qwen/Qwen2.5-VL-{size}-Instruct"
        rows = [row | {"model": model} for row in random_rows(3, ("baseline", "vreason"))]
        write_run(tmp_path / size, rows, sample_run_facts(("baseline", "vreason"), model=model))
    story = report.tell(merge_runs([tmp_path / "3B", tmp_path / "7B"]))
    assert [story.label(name) for name in story.names] == [
        "3B · baseline", "3B · vreason", "7B · baseline", "7B · vreason",
    ]  # fmt: skip


def test_a_page_links_to_the_lines_of_each_folder(tmp_path):
    rows = random_rows(2)
    for name, part in (("a", rows[:3]), ("b", rows[3:])):
        write_run(tmp_path / name, part)
    out = tmp_path / "both" / "report.html"
    out.parent.mkdir()
    story = report.tell(merge_runs([tmp_path / "a", tmp_path / "b"]))
    report.write_page(out, story, ["lite", "baseline"])
    data = data_of(out.read_text())
    places = list(zip(data["answers"]["file"], data["answers"]["line"], strict=True))
    assert places == [(f"../{name}/predictions.jsonl", n) for name in "ab" for n in (1, 2, 3)]
    assert data["chosen"] == ["lite", "baseline"]


def test_the_contents_lead_to_every_section(large):
    found = [a["href"] for name, a in Checker(large).elements if name == "a"]
    assert found == [f"#{name}" for name in SECTIONS]


def test_a_report_takes_one_summary_for_its_page_and_its_file(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", [sample_line(0), sample_line(1)])
    made, summarise = [], report.summarise
    monkeypatch.setattr(report, "summarise", lambda *given: made.append(1) or summarise(*given))
    report.write([folder], tmp_path / "summary.json", tmp_path / "report.html")
    assert len(made) == 1
    assert (tmp_path / "summary.json").exists() and (tmp_path / "report.html").exists()
