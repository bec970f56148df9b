"""Runs an evaluation in parts that are killed again and again, and compares it with one run.

    python scripts/shard_test.py --shards 4 --kills 5 -- --limit 200 --methods baseline,vreason,min

Once the parts are shards with a folder each, merged by the report; once they are workers that claim
clips in one folder, of which the last is killed and never started again. Flags after `--` go to
`python -m vreason_jax.evaluate`. Exit code 0: the lines are those of the one run, none lost, none
twice.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = [sys.executable, "-m", "vreason_jax.evaluate"]
TIMES = ("seconds",)
ROUNDING = 1e-3  # a batch of other questions rounds differently


def main() -> int:
    options, flags = _options()
    with tempfile.TemporaryDirectory() as place:
        alone = Path(place, "alone")
        began = time.monotonic()
        run([*flags, "--out", str(alone)])
        seconds = time.monotonic() - began
        print(f"one run: {seconds:.0f} s, {len(read(alone))} lines", flush=True)
        wrong = 0
        if options.only != "claims":
            wrong += shards(Path(place), flags, seconds, options)
        if options.only != "shards":
            wrong += claims(Path(place), flags, seconds, options)
    return 1 if wrong else 0


def shards(place: Path, flags: list[str], seconds: float, options) -> int:
    """Runs shards with a folder each; returns how many lines are wrong."""
    folders = [place / f"shard-{n}" for n in range(options.shards)]
    commands = [
        [*flags, "--shard", f"{n}/{options.shards}", "--out", str(folder)]
        for n, folder in enumerate(folders)
    ]
    together(commands, seconds, options, lost=None)
    merged = [*map(str, folders), "--out", str(place / "merged")]
    subprocess.run([sys.executable, "-m", "vreason_jax.report", *merged], check=True)
    lines = [line for folder in folders for line in read(folder)]
    return compare("shards", read(place / "alone"), lines)


def claims(place: Path, flags: list[str], seconds: float, options) -> int:
    """Runs workers in one folder; returns how many lines are wrong."""
    commands = [[*flags, "--claim", "--out", str(place / "shared")]] * options.shards
    together(commands, seconds, options, lost=options.shards - 1)
    return compare("claims", read(place / "alone"), read(place / "shared"))


def together(commands, seconds: float, options, lost: int | None) -> None:
    """Runs all at once, each to its end after its kills; the `lost` one is not started again."""
    threads = [
        threading.Thread(target=disturbed, args=(number, command, seconds, options, number == lost))
        for number, command in enumerate(commands)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def disturbed(number: int, command: list[str], seconds: float, options, lost: bool) -> None:
    """Starts a command and kills it, `kills` times, at random moments; then runs it to its end."""
    rng = random.Random(f"{options.seed} {number}")
    for _ in range(options.kills):
        process = subprocess.Popen([*PROGRAM, *command], stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.1, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if not lost:
        run(command)


def run(command: list[str]) -> None:
    ended = subprocess.run([*PROGRAM, *command], stderr=subprocess.PIPE, text=True)
    if ended.returncode:
        sys.exit(f"code {ended.returncode}: {ended.stderr}")


def compare(name: str, expected: list[dict], found: list[dict]) -> int:
    """Prints how many lines are lost, twice or different; returns their number."""
    one, other = _by_key(expected), _by_key(found)
    lost, more = len(one.keys() - other.keys()), len(other.keys() - one.keys())
    twice = len(found) - len(other)
    differ = sum(not _same(one[key], other[key]) for key in one.keys() & other.keys())
    print(f"{name}: {len(found)} lines; {lost} lost, {more} more, {twice} twice, {differ} differ")
    return lost + more + twice + differ


def read(folder: Path) -> list[dict]:
    """Returns the lines of a run."""
    file = folder / "predictions.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _by_key(lines: list[dict]) -> dict[tuple, dict]:
    return {(line["id"], line["method"], line["seed"]): line for line in lines}


def _same(one: dict, other: dict) -> bool:
    def close(a, b) -> bool:
        if isinstance(a, float) and isinstance(b, float):
            return abs(a - b) <= ROUNDING
        return a == b

    return one.keys() == other.keys() and all(
        close(value, other[key]) for key, value in one.items() if key not in TIMES
    )


def _options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=4, metavar="N")
    parser.add_argument("--kills", type=int, default=5, metavar="N")
    parser.add_argument("--only", choices=("shards", "claims"))
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    return parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
