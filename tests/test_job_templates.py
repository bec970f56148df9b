"""The templates for arrays of jobs say what the program understands."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from vreason_jax import evaluate
from vreason_jax.evaluation.running.shards import find_shard

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def slurm(tmp_path):
    """A job with a python and a scontrol that write down their arguments.

    With a file `endless` python waits for SIGTERM.
    """
    (tmp_path / "python").write_text(
        f"#!/bin/sh\necho python $* >> {tmp_path}/calls\n"
        f"[ -e {tmp_path}/endless ] || exit 0\n"
        "trap 'exit 75' TERM\nwhile true; do sleep 0.05; done\n"
    )
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho scontrol $* >> {tmp_path}/calls\n")
    for name in ("python", "scontrol"):
        (tmp_path / name).chmod(0o755)

    def start(*flags):
        names = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        command = ["bash", str(SCRIPTS / "slurm.sbatch"), *flags]
        return subprocess.Popen(command, env={**os.environ, **names, **path})

    return start


def test_a_job_of_an_array_claims_and_ends_as_the_evaluation_does(slurm, tmp_path):
    assert slurm("--out", "/shared/a b").wait(60) == 0
    calls = (tmp_path / "calls").read_text()
    assert calls == "python -m vreason_jax.evaluate --claim --out /shared/a b\n"


def test_a_job_that_is_preempted_is_put_into_the_queue_again(slurm, tmp_path):
    (tmp_path / "endless").touch()
    job = slurm()
    while not (tmp_path / "calls").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 75
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "scontrol requeue 7_3"


def test_pods_are_parts_by_the_variables_that_their_template_sets():
    text = (SCRIPTS / "jobset.yaml").read_text()
    completions = re.search(r"completions: (\d+)", text)
    told = re.search(r'name: JOB_COMPLETIONS\n +value: "(\d+)"', text)
    assert completions and told and completions[1] == told[1]
    pod = {"JOB_COMPLETION_INDEX": "5", "JOB_COMPLETIONS": told[1]}
    assert str(find_shard(None, pod)) == f"5/{completions[1]}"
    flags = re.findall(r"- (--[a-z]+=\S+)", text)
    assert evaluate._parser().parse_args(flags).out == Path("/shared/runs/mvbench")
