"""Kills an evaluation at random moments, restarts it each time, and compares its lines.

    python scripts/kill_test.py --kills 20 -- --limit 24 --set sampling.max_new_tokens=32

Flags after `--` go to `python -m vreason_jax.evaluate`; leave --out out. The killed run must have
the same set of lines as an undisturbed one, apart from wall times.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = [sys.executable, "-m", "vreason_jax.evaluate"]


def main() -> int:
    options, flags = _options()
    with tempfile.TemporaryDirectory() as folder:
        calm, killed = Path(folder, "calm"), Path(folder, "killed")
        began = time.monotonic()
        subprocess.run([*PROGRAM, *flags, "--out", str(calm)], check=True)
        seconds = time.monotonic() - began
        disturb(killed, flags, seconds, options)
        subprocess.run([*PROGRAM, *flags, "--out", str(killed)], check=True)
        expected, found = read(calm), read(killed)
    same = sorted(expected) == sorted(found)
    print(f"{len(found)} lines of {len(expected)}: {'the same' if same else 'NOT the same'}")
    return 0 if same else 1


def disturb(folder: Path, flags: list[str], seconds: float, options: argparse.Namespace) -> None:
    """Starts the run and kills it, `kills` times, at moments spread over a whole run's length."""
    rng = random.Random(options.seed)
    for number in range(options.kills):
        process = subprocess.Popen([*PROGRAM, *flags, "--out", str(folder)])
        try:
            process.wait(rng.uniform(0.2, 1.0) * seconds)
            ending = "it had ended"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ending = "killed"
        count = len(read(folder))
        print(f"{number + 1}/{options.kills}: {ending} at {count} lines", file=sys.stderr)
        if rng.random() < 0.3 and count:
            tear(folder / "predictions.jsonl", rng)


def tear(file: Path, rng: random.Random) -> None:
    """Cuts into the last line, as a kill in the middle of writing it would."""
    data = file.read_bytes()
    last = data[:-1].rfind(b"\n") + 1
    file.write_bytes(data[: rng.randrange(last, len(data))])


def read(folder: Path) -> list[str]:
    """Returns the whole lines without the fields that differ from run to run."""
    try:
        text = (folder / "predictions.jsonl").read_text()
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            fields = json.loads(line)
            del fields["seconds"]
            lines.append(json.dumps(fields))
    return lines


def _options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    return parser.parse_args(sys.argv[1:at]), sys.argv[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
