"""Damaged checkpoints, images, clips and runs are read or refused; scripts/mutate.py tries more."""

import subprocess

import pytest
from mutation_checkpoint import TARGETS as CHECKPOINT
from mutation_clips import TARGETS as CLIPS
from mutation_images import TARGETS as IMAGES
from mutation_report import TARGETS as REPORT
from mutation_runs import Target, Trial

SEEDS = range(8)
TARGETS = CHECKPOINT + REPORT + IMAGES + CLIPS[::3]  # a clip takes two seconds


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damage_is_read_or_refused_in_one_line(target):
    with Trial(target) as trial:
        outcomes = [trial.try_one(seed) for seed in SEEDS]
    assert not [outcome for outcome in outcomes if outcome.fault]


def test_a_fault_is_seen():
    def traceback(folder):
        if folder.name != "sound":
            raise KeyError("x")

    def leak(folder):
        kept.append((folder / "file").open())

    def other(folder):
        return (folder / "file").read_bytes()

    def start(folder):
        started.append(subprocess.Popen(["sleep", "60"]))

    def write(folder):
        (folder.parent / f"{folder.name}.txt").touch()

    kept, started = [], []
    for use, kind in (
        (traceback, "traceback"),
        (leak, "descriptor"),
        (other, "other"),
        (write, "written"),
        (start, "child"),
    ):
        target = Target(
            "a", lambda f: (f / "file").write_text("text"), lambda f: [f / "file"], use, same=True
        )
        with Trial(target) as trial:
            assert trial.try_one(3).kind == kind
    for file in kept:
        file.close()
    for process in started:
        process.kill()
        process.wait()
