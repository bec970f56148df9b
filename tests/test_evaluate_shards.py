"""Parts of a run, killed and started again, have the lines of one run between them."""

import random
import signal
import time

import pytest
from evaluate_runs import FLAGS, answers, end_of, start

from vreason_jax.evaluation.results.runs import merge_runs


def killed(process, file, count, rng):
    """Kills a process a random while after a file has more than `count` lines."""
    while process.poll() is None:
        if file.exists() and file.read_bytes().count(b"\n") > count:
            time.sleep(rng.random() * 0.05)
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def texts(*folders):
    found = [{key: line["text"] for key, line in answers(f).items()} for f in folders]
    assert sum(map(len, found)) == len({key for some in found for key in some})  # none twice
    return {key: text for some in found for key, text in some.items()}


@pytest.mark.parametrize("way", ["shards", "claims"])
def test_killed_parts_have_the_lines_of_one_run(place, tmp_path, undisturbed, way):
    rng, count = random.Random(0), 2
    if way == "shards":
        folders = [tmp_path / str(n) for n in range(count)]
        parts = [("--out", f, "--shard", f"{n}/{count}") for n, f in enumerate(folders)]
    else:
        folders = [tmp_path]
        parts = [("--out", tmp_path, "--claim")] * count
    lost = start(place, *FLAGS, *parts[0])
    killed(lost, folders[0] / "predictions.jsonl", 0, rng)
    ends = [end_of(p, 600) for p in [start(place, *FLAGS, *part) for part in parts[-count:]]]
    assert [end.code for end in ends] == [0, 0], ends[0].err + ends[1].err
    assert texts(*folders) == texts(undisturbed)
    assert len(merge_runs(folders).lines) == len(answers(undisturbed))
    assert not list(tmp_path.rglob(".workers"))
