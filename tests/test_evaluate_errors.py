"""Wrong input ends `evaluate` in exit 2 before any weights load, and one line says what to do."""

import logging
import os
import shutil
import types
from typing import cast

import pytest
from evaluate_runs import Runner

from vreason_jax.evaluation.results.run_file import sole_run
from vreason_jax.evaluation.running.evaluation import Evaluation


@pytest.fixture
def refused(capsys, monkeypatch, place, tmp_path):
    """Runs, and returns the reason, having checked how it was told and that nothing loaded."""
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    monkeypatch.delattr("vreason_jax.engine.engine.load_model")
    run = Runner(place, capsys)

    def reason(*flags, out=tmp_path / "out") -> str:
        ended = run(*(() if out is None else ("--out", out)), *flags)
        assert (ended.code, ended.out) == (2, ""), ended
        assert "Traceback" not in ended.err
        last = ended.err.splitlines()[-1]
        assert last.startswith("error: ")
        return last.removeprefix("error: ")

    return reason


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--benchmark nope", "--benchmark: expected one of shapes, "),
        ("--control blanc", "expected one of none, blank, shuffled, no_last_values, got 'blanc'"),
        ("--split nope", "--split: expected test or validation, got 'nope'"),
        (
            "--benchmark mmvu --split validation",
            "--split: expected test for mmvu, got 'validation'",
        ),
        ("--benchmark mmvu", "--data: expected the folder "),
        ("--benchmark mmvu --data nowhere", "--data: expected a folder, got nowhere"),
        ("--protocol nope", "--protocol: no file 'nope'; expected a TOML path or one of: "),
        ("--template nope.json", "nope.json"),
        ("--methods nope", "no file 'nope'; expected a TOML path or one of: baseline, "),
        ("--methods min,min", "expected every method once, 'min' comes twice"),
        ("--methods min,", "--methods: expected names with commas between, got 'min,'"),
        ("--experiment nope", "--experiment: no file 'nope'; expected a TOML path or one of: "),
        ("--seeds 0,0", "--seeds: expected different whole numbers from 0 on"),
        ("--seeds -1", "--seeds: expected"),
        ("--limit 0", "--limit: expected a whole number of 1 or more, got '0'"),
        (f"--limit {10**20}", "--limit: expected at most the 100000 questions of shapes, got 1000"),
        (f"--batch-size {10**20}", "of memory are free; lower sampling.max_new_tokens, or the"),
        ("--batch-size many", "--batch-size: expected a whole number of 1 or more, got 'many'"),
        ("--mesh model=64", "--mesh model=64: needs 64 devices, expected at most the 8 there are"),
        ("--set controller.evry=3", "'controller.evry'; the nearest known one is 'controller.eve"),
        ("--set video.max_frames=1", "video.max_frames: expected at least 2"),
        ("--model missing/folder/here", "expected a checkpoint folder or a hub id"),
        ("--limits 3", "unknown argument '--limits'; the nearest known one is '--limit'"),
        ("--process-id 0", "expected --coordinator, --process-id, --num-processes together"),
        (
            "--coordinator localhost:1 --process-id 2 --num-processes 2",
            "--process-id: expected 0 to 1, as --num-processes is 2, got 2",
        ),
    ],
)
def test_a_wrong_option(refused, flags, expected):
    assert expected in refused(*flags.split())


NAMING = (
    "--benchmark", "--protocol", "--template", "--methods", "--experiment", "--control", "--split",
    "--seeds", "--limit", "--batch-size", "--model", "--set", "--mesh",
)  # fmt: skip


@pytest.mark.parametrize("flag", NAMING)
@pytest.mark.parametrize("value", ["a\0b", "\ud800", "~nobody-of-this-name/a"])
def test_a_value_that_names_nothing(refused, flag, value):
    assert value.isprintable() or value not in refused(flag, value)


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_folder_that_nothing_can_have(refused, value):
    assert "--out: cannot make the folder" in refused(out=value)
    assert "--data: expected a folder" in refused("--benchmark", "mmvu", "--data", value)


def test_no_folder_for_the_answers(refused):
    assert refused(out=None) == "--out: expected a folder for the answers, got none"


def test_a_folder_that_cannot_be(refused, tmp_path):
    (tmp_path / "file").touch()
    assert "--out: cannot make" in refused(out=tmp_path / "file" / "out")
    assert "--out: cannot make" in refused(out=tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_ours(refused, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    assert "--out: cannot" in refused()


def test_a_folder_that_another_run_holds(refused, tmp_path):
    (tmp_path / "out").mkdir()
    with sole_run(tmp_path / "out", "another"):
        assert "another evaluation is at work in" in refused()


def test_a_file_of_something_else_in_the_folder(refused, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.jsonl").write_text("notes\nof mine\n")
    assert "predictions.jsonl, line 1: expected a JSON object" in refused()
    assert (tmp_path / "out" / "predictions.jsonl").read_text() == "notes\nof mine\n"
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").mkdir()
    for text, expected in (
        ("notes", "run.json: expected a readable JSON file"),
        ('{"identity": []}', "run.json: expected what a run has written, got 'identity': []"),
        ('{"sessions": [7]}', "run.json: expected what a run has written, got 'sessions': 7"),
    ):
        (tmp_path / "out" / "run.json").write_text(text)
        assert expected in refused()


def test_lines_that_are_no_file_are_refused_at_once(refused, tmp_path):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "predictions.jsonl")
    assert "predictions.jsonl: is a pipe, no regular file" in refused()


def test_a_layer_that_no_method_but_a_later_one_names(refused, tmp_path):
    (tmp_path / "mine.toml").write_text('[controller]\nplacement = "video@99"\n')
    assert "99" in refused("--methods", f"baseline,{tmp_path / 'mine.toml'}")
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_process_that_follows_has_no_sign_of_life_to_take_away():
    folder = types.SimpleNamespace(writes=False, owned=False)
    Evaluation._leave(cast("Evaluation", types.SimpleNamespace(folder=folder)))
