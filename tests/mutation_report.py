"""The files of a run's folder as targets of damage: its report is made, or they are refused."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from evaluation_samples import random_rows, sample_run_facts, write_run
from mutation_runs import Target
from mutators import damage_json, damage_json_lines

from vreason_jax.evaluation import report
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.report.page import build
from vreason_jax.evaluation.results.questions import keep_words, read_words
from vreason_jax.evaluation.results.run_folder import RunFolder
from vreason_jax.evaluation.results.runs import merge_runs
from vreason_jax.runtime import distributed

METHODS = ("baseline", "vreason")


def _sound(folder: Path) -> None:
    rows = random_rows(3, METHODS, longest=20)
    write_run(folder, rows, sample_run_facts(METHODS), traces=True)
    records = [
        Record(row["id"], "shapes", row["video"], "Which?", ("A. a", "B. b"), "A", CHOICE, "order")
        for row in rows
    ]
    keep_words(folder, records, ())
    mine = RunFolder(folder)
    mine.note_grid("v.mp4", (2, 6, 8))
    mine.note_grid("w.mp4", (4, 6, 8))
    frames = np.zeros((4, 28, 28, 3), np.uint8)
    for row in rows:
        mine.keep_frames(row["video"], frames, np.arange(4.0))


def use(folder: Path) -> None:
    """Makes the report, and does with a copy what a run does that goes on there."""
    build(report.tell(merge_runs([folder])))
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "copy"
        shutil.copytree(folder, copy)
        read_words(copy)
        mine = RunFolder(copy)
        mine.read()
        mine.share([], ["v.mp4", "x.mp4"], distributed.largest)
        assert mine.has_lines()


def _target(file: str, **more) -> Target:
    return Target(file, _sound, lambda folder: sorted(folder.glob(file)), use, **more)


TARGETS = [
    _target("run.json", damage=damage_json),
    _target("predictions.jsonl", damage=damage_json_lines),
    _target("questions.jsonl", damage=damage_json_lines),
    _target("clips.jsonl", damage=damage_json_lines),
    _target("traces/*.npz"),
    _target("frames/*.jpg"),
]
