"""Prints the share of updates at which a method explored, which is the fair rate for `random`.

    python scripts/alpha_rate.py DIR [METHOD]

DIR is the folder of an evaluation, METHOD one of its methods [vreason].
"""

import json
import sys
from pathlib import Path

import numpy as np


def main(folder: str, method: str = "vreason") -> None:
    explored = []
    for text in (Path(folder) / "predictions.jsonl").read_text().splitlines():
        line = json.loads(text)
        if line["method"] == method and line["trace"]:
            with np.load(Path(folder) / "traces" / line["trace"]) as trace:
                explored.append(trace["alpha"][trace["updated"]] > 0)
    if not explored:
        raise SystemExit(f"error: expected answers of {method} in {folder}, found none")
    print(f"{np.concatenate(explored).mean():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
