"""A clip is claimed by one worker at a time, and by another one once that is dead."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vreason_jax.errors import UserError
from vreason_jax.evaluation.results import workers
from vreason_jax.evaluation.results.workers import Worker, living

ROOT = Path(__file__).parent.parent
CLAIMER = """
import sys, time
from pathlib import Path
from vreason_jax.evaluation.results.workers import Worker
folder, clips = Path(sys.argv[1]), [f"clip {n}" for n in range(int(sys.argv[2]))]
with Worker(folder, "then") as worker:
    print("ready", flush=True)
    sys.stdin.readline()
    print(*[clip[5:] for clip in clips if worker.claim(clip)], flush=True)
    sys.stdin.readline()
"""


def claimer(folder, clips) -> Any:
    process: Any = subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(folder), str(clips)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def claims(process: Any):
    process.stdin.write("\n")
    process.stdin.flush()
    return set(process.stdout.readline().split())


def test_of_several_workers_one_gets_each_clip(tmp_path):
    processes = [claimer(tmp_path, 200) for _ in range(3)]
    assert len(living(tmp_path)) == 3
    for process in processes:  # all at once
        process.stdin.write("\n")
        process.stdin.flush()
    found = [process.stdout.readline().split() for process in processes]
    for process in processes:
        process.communicate("\n")
    assert sorted(clip for some in found for clip in some) == sorted(map(str, range(200)))
    assert not (tmp_path / ".workers").exists()


def test_what_a_killed_worker_had_is_claimed_again_at_once_and_once(tmp_path):
    first, second, third = (claimer(tmp_path, 4) for _ in range(3))
    assert claims(first) == {"0", "1", "2", "3"}
    assert claims(second) == set()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert claims(third) == {"0", "1", "2", "3"}
    with Worker(tmp_path, "later") as fourth:
        assert not fourth.claim("clip 0")
        third.communicate("\n")  # it ends, and gives its claims back
        assert fourth.claim("clip 0")
    second.communicate("\n")


def test_a_worker_of_another_machine_is_dead_when_it_no_longer_touches_its_file(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(workers, "_TOUCHED_EVERY", 3600)
    clock = [0.0]
    monkeypatch.setattr(workers.time, "monotonic", lambda: clock[0])
    with Worker(tmp_path, "there") as other, Worker(tmp_path, "here") as mine:
        assert other.claim("clip")
        # Its lock says nothing to a machine that did not boot with it.
        (file,) = [f for f in (tmp_path / ".workers").glob("*.alive") if "there" in f.read_text()]
        file.write_text('{"started": "there", "boot": "another"}')
        for now, touched in ((0, True), (100, False), (110, True), (220, False)):
            clock[0] = now
            if touched:
                os.utime(file, (now, now))
            assert not mine.claim("clip")
        clock[0] = 110 + workers._DEAD_AFTER
        assert mine.claim("clip")
        assert not other.claim("clip")


def test_a_file_system_without_hard_links_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    with Worker(tmp_path, "now") as worker:
        monkeypatch.setattr(os, "link", refuse)
        with pytest.raises(
            UserError, match=r"--claim: cannot make a hard link .* with --shard I/N"
        ):
            worker.claim("clip")


def test_a_worker_that_left_is_not_at_work(tmp_path):
    with Worker(tmp_path, "now"):
        assert [each["started"] for each in living(tmp_path)] == ["now"]
    assert living(tmp_path) == []
