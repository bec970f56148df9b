"""`generate` on a slice of several hosts, here two processes with a CPU device or two each."""

import json
import re
import shutil
import socket

import numpy as np
import pytest
from generate_runs import command, end_of, start_process
from xla_flags import quick

SECONDS = 120  # a run takes some five; one that waits for the other for ever fails


def run_two(*commands, devices=1):
    """Runs a command on each host; a single one on both."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    processes = [
        start_process(
            commands[host % len(commands)],
            JAX_COORDINATOR_ADDRESS=f"localhost:{port}",
            JAX_NUM_PROCESSES=2,
            JAX_PROCESS_ID=host,
            XLA_FLAGS=quick(devices),
        )
        for host in range(2)
    ]
    return [end_of(process, SECONDS) for process in processes]


@pytest.mark.parametrize(("mesh", "devices"), [("model=2", 1), ("data=2,model=2", 2)])
def test_two_hosts_give_the_answer_of_one_and_the_first_one_prints(
    run, place, tmp_path, mesh, devices
):
    files = "--trace", tmp_path / "trace.json", "--dump-inputs", tmp_path / "inputs.npz"
    first, second = run_two(command(place, "--mesh", mesh, *files), devices=devices)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    alone = run.traced("--mesh", "model=1")
    assert first.out == alone.out
    # What either says beside the answer differs in seconds alone.
    assert re.sub(r"[\d.]+ s", "", first.err) == re.sub(r"[\d.]+ s", "", alone.err)
    assert second.out == "" and second.err == ""
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["token_ids"] == alone.trace["token_ids"]
    for key in ("logprob", "entropy", "grad_norm", "delta_norm"):
        np.testing.assert_allclose(trace[key], alone.trace[key], rtol=1e-4, atol=1e-4)


def test_a_video_that_one_host_misses_ends_both(place, tmp_path):
    shutil.copy(place / "clip.mp4", tmp_path / "clip.mp4")
    there = command(place, "--video", tmp_path / "clip.mp4")
    missing = command(place, "--video", tmp_path / "gone\udcff.mp4")
    first, second = run_two(there, missing)
    assert [(run.code, run.out) for run in (first, second)] == [(2, ""), (2, "")]
    reason = "gone\\udcff.mp4: expected a file or a folder of frames: No such file or directory"
    assert second.err.splitlines()[-1] == f"error: {tmp_path}/{reason}"
    assert first.err.splitlines()[-1] == f"error: process 1: {tmp_path}/{reason}"


def test_only_the_host_that_writes_must_be_able_to(place, tmp_path):
    good = command(place, "--max-new-tokens", 2, "--trace", tmp_path / "trace.json")
    bad = command(place, "--max-new-tokens", 2, "--trace", tmp_path / "missing" / "trace.json")
    first, second = run_two(good, bad)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert json.loads((tmp_path / "trace.json").read_text())["tokens"]["generated"] == 2
    first, second = run_two(bad, good)
    assert (first.code, second.code) == (2, 2)
    assert "missing is not a folder; create it first" in second.err.splitlines()[-1]
