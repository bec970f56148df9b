"""Prints the share of updates at which a method explored, which is the fair rate for `random`.

python scripts/alpha_rate.py DIR [METHOD]
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from vreason_jax.command_line import OptionParser, exit_code, write_out  # noqa: E402
from vreason_jax.errors import UserError, reason_of  # noqa: E402
from vreason_jax.evaluation.statistics.curves import read_trace  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    return exit_code(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    folder, method, explored = Path(options.folder), options.method, []
    try:
        for text in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if line["method"] == method and line["trace"]:
                trace = read_trace(folder / "traces" / line["trace"], ("alpha", "updated"))
                if trace is None:
                    raise ValueError(f"traces/{line['trace']} is missing or broken")
                explored.append(trace["alpha"][trace["updated"] > 0] > 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = reason_of(error)
        raise UserError(f"{folder}: expected the folder of an evaluation: {reason}") from None
    if not sum(map(len, explored)):
        raise UserError(f"{folder}: expected updates of {method}, found none; name its method")
    write_out(f"{np.concatenate(explored).mean():.4f}\n")


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python scripts/alpha_rate.py",
        description="Prints the share of updates at which a method explored, which is the fair "
        "rate for `random`.",
    )
    parser.add_argument("folder", metavar="DIR", help="folder of an evaluation")
    words = "one of its methods [vreason]"
    parser.add_argument("method", nargs="?", default="vreason", metavar="METHOD", help=words)
    return parser


if __name__ == "__main__":
    sys.exit(main())
