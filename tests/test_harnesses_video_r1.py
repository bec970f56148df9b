"""The tasks of configs/lmms_eval: Video-R1's protocol, as `evaluate` has it."""

import importlib
import logging

import benchmark_files as files
import pytest
import yaml

from vreason_jax.config import CONFIG_FOLDER
from vreason_jax.errors import UserError
from vreason_jax.evaluation.readers import read_benchmark
from vreason_jax.evaluation.scoring.protocol import load_protocol
from vreason_jax.evaluation.scoring.score import score
from vreason_jax.harnesses import requests as asked
from vreason_jax.harnesses import video_r1

FOLDER = CONFIG_FOLDER / "lmms_eval"
BENCHMARKS = ("vsibench", "videommmu", "mmvu", "mvbench", "tempcompass", "videomme")
PROTOCOL = load_protocol("video_r1")


class Loader(yaml.SafeLoader):
    """Reads !function as the function that it names."""


def named(loader, node):
    module, _, name = loader.construct_scalar(node).rpartition(".")
    return getattr(importlib.import_module(module), name)


Loader.add_constructor("!function", named)


def task(name):
    return yaml.load((FOLDER / name).read_text(encoding="utf-8"), Loader)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "./Evaluation/MMVU/videos/Law/1.mp4"
    numeric = {"problem_type": "regression", "options": None}
    rows = [
        files.video_r1_row(1, path),
        files.video_r1_row(2, path, "2.5", **numeric),
        files.video_r1_row(3, path, "shoring", problem_type="free-form", options=None),
    ]
    files.put_json(tmp_path / "eval_mmvu.json", rows)
    files.put_clips(tmp_path, "videos/Law/1.MP4")
    return rows


def test_the_tasks_have_the_protocols_settings_and_the_benchmarks_files():
    shared = task("_video_r1_yaml")
    assert asked.overrides(shared["generation_kwargs"]) == PROTOCOL.run_overrides()
    assert task("video_r1.yaml")["task"] == [f"video_r1_{name}" for name in BENCHMARKS]
    for name in BENCHMARKS:
        assert task(f"video_r1_{name}.yaml") == {
            "include": "_video_r1_yaml",
            "task": f"video_r1_{name}",
            "dataset_kwargs": {"data_files": {"test": f"eval_{name}.json"}},
        }


def test_questions_and_scores_are_those_of_evaluate(rows, tmp_path):
    shared = task("_video_r1_yaml")
    read = PROTOCOL.select(read_benchmark("mmvu", tmp_path).records)
    replies = ("<think>A</think><answer>B</answer>", "<answer>2.4</answer>")
    for row, record, reply in zip(rows, read, replies, strict=False):
        assert shared["doc_to_text"](row) == PROTOCOL.question_text(record)
        assert shared["doc_to_target"](row) == record.gold
        (value,) = shared["process_results"](row, [reply]).values()
        assert value == score(record, reply, PROTOCOL).score > 0
    names = [list(video_r1.results(row, ["none"])) for row in rows[:2]]
    assert names == [["accuracy"], ["mra"]]


def test_free_form_rows_and_those_that_are_no_question_are_left_out_with_one_warning(rows, caplog):
    class Dataset(list):
        def filter(self, keep):
            return Dataset(filter(keep, self))

    untyped = {key: value for key, value in rows[0].items() if key != "problem_type"}
    with caplog.at_level(logging.WARNING):
        kept = video_r1.documents(Dataset([*rows, untyped, rows[0] | {"solution": "B"}]))
    assert [row["problem_id"] for row in kept] == [1, 2]
    (line,) = caplog.messages
    assert "3 of 5 rows are left out, the first as" in line and "got 'free-form'" in line
    for row in (rows[2], untyped):
        with pytest.raises(UserError, match="'problem_type'"):
            video_r1.text(row)


def test_videos_are_found_below_the_working_folder(rows, tmp_path):
    assert video_r1.visual(rows[0]) == [str(tmp_path / "videos" / "Law" / "1.MP4")]
    with pytest.raises(UserError, match="expected a video, found none of this name"):
        video_r1.visual(rows[0] | {"path": "./videos/Law/2.mp4"})
    with pytest.raises(UserError, match=r"entry 1: 'solution': expected <answer>"):
        video_r1.text(rows[0] | {"solution": "B"})
