"""Scripts say in one line what they take."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


def run(script, *arguments):
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("script", "arguments", "code", "words"),
    [
        ("alpha_rate.py", ("--help",), 0, "METHOD"),
        ("alpha_rate.py", ("nowhere",), 2, "nowhere: expected the folder of an evaluation"),
        ("bench_load.py", ("--help",), 0, "folder"),
        ("bench_load.py", (), 2, "required: folder, dtype"),
        ("mutate.py", ("foo",), 2, "invalid choice: 'foo' (choose from "),
        ("train_shapes.py", ("--out", ""), 2, "--out: expected a path, got an empty text"),
    ],
)
def test_help_is_given_and_wrong_arguments_are_said(script, arguments, code, words):
    done = run(script, *arguments)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert words in (done.stdout if code == 0 else done.stderr.splitlines()[-1])


def test_the_rate_is_that_of_the_updates(tmp_path):
    (tmp_path / "traces").mkdir()
    updated = np.array([True, False, True, True, True])
    np.savez(tmp_path / "traces" / "0.npz", alpha=np.array([1, 1, -1, -1, -1]), updated=updated)
    line = {"method": "vreason", "trace": "0.npz"}
    (tmp_path / "predictions.jsonl").write_text(json.dumps(line) + "\n")
    assert run("alpha_rate.py", tmp_path).stdout == "0.2500\n"
    (tmp_path / "traces" / "0.npz").write_bytes(b"PK\x03\x04 cut off")
    told = run("alpha_rate.py", tmp_path).stderr
    assert told.endswith("folder of an evaluation: traces/0.npz is missing or broken\n")
