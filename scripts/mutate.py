"""Damages inputs in many ways and says what came of it: a result, one line, or a fault.

    python scripts/mutate.py checkpoint --count 2000 [--target config.json] [--seed 0]

The damage is the same for the same seed. Every target runs in a process of its own, which may
crash or hang: that counts as a fault of its last mutation, and another process goes on after it.
The exit code is 1 where there was a fault.
"""

import argparse
import collections
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
PATIENCE = 120.0  # seconds for one mutation, and for a worker's start


def main() -> int:
    options = _options()
    targets = importlib.import_module(f"mutation_{options.kind}").TARGETS
    chosen = [t for t in targets if options.target in (None, t.name)]
    if options.worker:
        _work(chosen[0], range(options.seed, options.seed + options.count))
        return 0
    faults = 0
    for number, target in enumerate(chosen):
        share = options.count * (number + 1) // len(chosen) - options.count * number // len(chosen)
        faults += _report(target.name, _supervise(options, target.name, share))
    print(f"{options.count} mutations, {faults} faults")
    return 1 if faults else 0


def _work(target, seeds) -> None:
    """Prints the outcome of each seed as a line of JSON."""
    from mutation_runs import Trial

    with Trial(target) as trial:
        print(json.dumps("ready"), flush=True)
        for seed in seeds:
            print(json.dumps([seed, *vars(trial.try_one(seed)).values()]), flush=True)


def _supervise(options, name: str, count: int) -> list[list]:
    """Returns [seed, kind, change, detail] of every mutation; workers that end are replaced."""
    outcomes, seed, end = [], options.seed, options.seed + count
    while seed < end:
        flags = ["--target", name, "--seed", str(seed), "--count", str(end - seed), "--worker"]
        found, how = _one_worker([sys.executable, __file__, options.kind, *flags])
        outcomes += found
        seed += len(found)
        if seed < end:
            outcomes.append([seed, how, "", ""])
            seed += 1
    return outcomes


def _one_worker(command: list[str]) -> tuple[list[list], str]:
    """Returns the outcomes of one worker, and how it ended."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None and process.stderr is not None
    lines: queue.Queue = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    chatter: list[str] = []
    threading.Thread(target=lambda: chatter.extend(process.stderr or ()), daemon=True).start()
    outcomes, how = [], "hang"
    try:
        while (line := lines.get(timeout=PATIENCE)) is not None:
            value = json.loads(line)
            outcomes += [value] if isinstance(value, list) else []
        how = f"crash, exit code {process.wait()}"
    except queue.Empty:
        process.kill()
        process.wait()
    if process.returncode == 1:
        raise SystemExit(f"the harness failed:\n{''.join(chatter)}")
    return outcomes, how


def _read(stream, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _report(name: str, outcomes: list[list]) -> int:
    """Prints the counts and the faults of a target; returns the number of faults."""
    counts = collections.Counter(kind for _, kind, *_ in outcomes)
    print(f"{name}: " + ", ".join(f"{n} {kind}" for kind, n in counts.most_common()), flush=True)
    faults = [o for o in outcomes if o[1] not in ("taken", "refused")]
    for seed, kind, change, detail in faults:
        print(f"  seed {seed}: {kind}: {change}: {detail}")
    return len(faults)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    files = (p for p in TESTS.glob("mutation_*.py") if "\nTARGETS" in p.read_text())
    kinds = sorted(p.stem.removeprefix("mutation_") for p in files)
    parser.add_argument("kind", choices=kinds, help="a module tests/mutation_KIND.py")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
