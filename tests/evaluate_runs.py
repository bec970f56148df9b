"""What the tests of `evaluate` share: runs on the tiny checkpoint, and what they leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

import generate_runs
from generate_runs import Program
from xla_flags import quick

from vreason_jax import evaluate

ROOT = Path(__file__).parent.parent
TIMES = ("seconds",)
# Of the run that several tests look at, `undisturbed`.
QUESTIONS = 6
FLAGS = "--limit", QUESTIONS, "--batch-size", 2


class Runner(Program):
    """`evaluate` with the tiny checkpoint on `shapes`, few questions and short answers."""

    def __init__(self, place: Path, capsys):
        super().__init__(evaluate.main, command, place, capsys)


def command(place: Path, *flags) -> list[str]:
    """Returns the arguments of a run; flags given replace the others."""
    defaults = {"--model": place / "model", "--limit": 4, "--batch-size": 2, "--mesh": "data=1"}
    given = [str(flag) for flag in flags]
    for flag, value in defaults.items():
        if flag not in given:
            given += [flag, str(value)]
    return [*given, "--set", "sampling.max_new_tokens=6"]


def start(place: Path, *flags, **variables) -> subprocess.Popen:
    """Starts `python -m vreason_jax.evaluate` on one CPU device."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": quick(),
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "vreason_jax.evaluate", *command(place, *flags)],
        env={**environment, **{key: str(value) for key, value in variables.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


end_of = generate_runs.end_of


def lines(folder: Path) -> list[dict]:
    """Returns the lines of a run, in the order of the file."""
    text = (folder / "predictions.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def answers(folder: Path) -> dict[tuple, dict]:
    """Returns the lines, wall times aside, by question, method and seed; none may come twice."""
    found = {}
    for line in lines(folder):
        key = line["id"], line["method"], line["seed"]
        assert key not in found, f"{key} comes twice"
        found[key] = {name: value for name, value in line.items() if name not in TIMES}
    return found
