"""Damaged files of checkpoints and runs are read or refused; scripts/mutate.py tries more."""

import pytest
from mutation_checkpoint import TARGETS as CHECKPOINT
from mutation_report import TARGETS as REPORT
from mutation_runs import Target, Trial

SEEDS = range(4)


@pytest.mark.parametrize("target", CHECKPOINT + REPORT, ids=lambda target: target.name)
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

    def write(folder):
        (folder.parent / f"{folder.name}.txt").touch()

    kept = []
    for use, kind in (
        (traceback, "traceback"),
        (leak, "descriptor"),
        (other, "other"),
        (write, "written"),
    ):
        target = Target(
            "a", lambda f: (f / "file").write_text("text"), lambda f: [f / "file"], use, same=True
        )
        with Trial(target) as trial:
            assert trial.try_one(3).kind == kind
    for file in kept:
        file.close()
