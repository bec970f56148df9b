"""Runs of several folders become one, or are refused with the reason."""

import pytest
from evaluation_samples import (
    make_lines,
    random_rows,
    sample_line,
    sample_run_facts,
    write_run,
)

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.results.questions import keep_words
from vreason_jax.evaluation.results.runs import merge_runs, read_run
from vreason_jax.evaluation.statistics.summary import summarise


def test_two_answers_of_one_question_method_and_seed_are_refused():
    with pytest.raises(UserError, match="'q00000' has two of baseline, seed 0"):
        summarise(make_lines(sample_line(), sample_line(text="another")))
    summarise(make_lines(sample_line(), sample_line(seed=1)))


def test_hosts_merge_and_the_same_answer_counts_once(tmp_path):
    rows = random_rows(10)
    write_run(tmp_path / "a", rows[:20], sample_run_facts())
    write_run(tmp_path / "b", rows[15:], sample_run_facts())
    run = merge_runs([tmp_path / "a", tmp_path / "b"])
    assert run.lines == make_lines(*rows)
    assert len(run.facts["sessions"]) == 2
    assert run.method_names() == ["baseline", "vreason", "lite"]


def test_models_merge_under_labels_and_are_compared_each_with_its_own(tmp_path):
    facts = sample_run_facts(("baseline", "vreason"), model="hub/small")
    for name in ("small", "large"):
        rows = random_rows(10, ("baseline", "vreason"), key=len(name) * ord(name[0]))
        rows = [row | {"model": f"hub/{name}"} for row in rows]
        write_run(tmp_path / name, rows, facts | {"model": f"hub/{name}"})
    run = merge_runs([tmp_path / "small", tmp_path / "large"])
    names = ["small · baseline", "small · vreason", "large · baseline", "large · vreason"]
    assert run.method_names() == names
    assert list(run.facts["methods"]) == names
    assert set(run.facts["sessions"][1]["seconds"]["decode"]) == set(names[2:])
    assert set(run.facts["sessions"][1]["controller_share"]) == set(names[2:])
    methods = summarise(run.lines, run.facts)["methods"]
    assert methods["large · vreason"]["against"] == "large · baseline"
    assert "against" not in methods["large · baseline"]


def test_different_answers_to_one_question_are_refused_naming_both(tmp_path):
    write_run(tmp_path / "a", [sample_line()])
    write_run(tmp_path / "b", [sample_line(text="another")])
    with pytest.raises(UserError) as error:
        merge_runs([tmp_path / "a", tmp_path / "b"])
    assert f"{tmp_path / 'a'} and {tmp_path / 'b'}: 'q00000' has two different" in str(error.value)


def test_one_id_of_two_questions_is_refused(tmp_path):
    for name, words in (("small", "What falls?"), ("large", "What rises?")):
        write_run(tmp_path / name, [sample_line(model=name)])
        keep_words(
            tmp_path / name, [Record("q00000", "shapes", "v", words, (), "A", CHOICE, "t")], ()
        )
    assert merge_runs([tmp_path / "small"]).questions["q00000"]["problem"] == "What falls?"
    with pytest.raises(UserError, match="'q00000' is not the same question in both"):
        merge_runs([tmp_path / "small", tmp_path / "large"])


def test_one_name_for_two_configurations_is_refused(tmp_path):
    write_run(tmp_path / "a", [sample_line(0)])
    write_run(tmp_path / "b", [sample_line(1, config_hash="another")])
    with pytest.raises(UserError, match="their configurations differ"):
        merge_runs([tmp_path / "a", tmp_path / "b"])


def test_two_benchmarks_are_refused(tmp_path):
    write_run(tmp_path / "a", [sample_line(0)])
    write_run(tmp_path / "b", [sample_line(1, benchmark="mmvu")])
    with pytest.raises(UserError, match="runs of one benchmark, got 'shapes' and 'mmvu'"):
        merge_runs([tmp_path / "a", tmp_path / "b"])


def test_a_folder_without_answers_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"the run has none yet|found no predictions"):
        read_run(tmp_path)
    (tmp_path / "predictions.jsonl").write_text("")
    with pytest.raises(UserError, match="expected at least one answer"):
        read_run(tmp_path)


def test_a_part_that_has_no_line_adds_nothing_to_a_merge(tmp_path):
    write_run(tmp_path / "a", [sample_line(0)])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_text("{}")
    assert len(merge_runs([tmp_path / "b", tmp_path / "a"]).lines) == 1
    with pytest.raises(UserError, match=r"the run has none yet|found no predictions"):
        merge_runs([tmp_path / "b"])


def test_one_folder_given_twice_counts_once(tmp_path):
    write_run(tmp_path / "a", [sample_line()], {"sessions": [{"seconds": {"wall": 1.0}}]})
    run = merge_runs([tmp_path / "a", f"{tmp_path}/a/.", tmp_path / "a"])
    assert len(run.lines) == len(run.facts["sessions"]) == 1


def test_a_video_that_one_machine_could_read_is_answered(tmp_path):
    write_run(tmp_path / "a", [sample_line(status="missing_video", score=0.0, text="")])
    write_run(tmp_path / "b", [sample_line()])
    for folders in (("a", "b"), ("b", "a")):
        (line,) = merge_runs([tmp_path / name for name in folders]).lines
        assert line.status == "ok"


def test_one_method_under_two_configurations_is_refused_whatever_its_seeds(tmp_path):
    write_run(tmp_path / "a", [sample_line(seed=0)])
    write_run(tmp_path / "b", [sample_line(seed=1, config_hash="another")])
    with pytest.raises(UserError, match="their configurations differ"):
        merge_runs([tmp_path / "a", tmp_path / "b"])


def test_a_model_that_was_asked_in_two_ways_is_refused(tmp_path):
    for name, control in (("baseline", "none"), ("vreason", "blank")):
        facts = {"identity": {"common": {"control": control}, "methods": {}}}
        write_run(tmp_path / name, [sample_line(method=name)], facts)
    with pytest.raises(UserError, match="control: 'none' there, 'blank' here"):
        merge_runs([tmp_path / "baseline", tmp_path / "vreason"])


def test_what_was_measured_against_another_method_is_left_out(tmp_path):
    against = {"changed": True, "delta_logit": 1.0, "kl": 0.5}
    write_run(tmp_path / "a", [sample_line(method="baseline")], {"methods": {"baseline": {}}})
    rows = [sample_line(method="vreason"), sample_line(method="min", **against)]
    write_run(tmp_path / "b", rows, {"methods": {"vreason": {}, "min": {}}})
    lines = merge_runs([tmp_path / "a", tmp_path / "b"]).lines
    assert [line.kl for line in lines] == [None] * 3
    assert [line.kl for line in merge_runs([tmp_path / "b"]).lines] == [None, 0.5]
