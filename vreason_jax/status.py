"""`python -m vreason_jax.status DIR...`: how far evaluations are, also of several machines."""

import argparse
import json
import sys
from pathlib import Path

from vreason_jax.command_line import OptionParser, exit_code, note, write_out
from vreason_jax.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, or 2 where the user's input is wrong."""
    return exit_code(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    # Imported late: --help and a mistyped option answer at once.
    from vreason_jax.evaluation.results.runs import distinct
    from vreason_jax.evaluation.results.status import begun, status_of, together

    folders = distinct(options.folders).values()
    waiting = [folder for folder in folders if not begun(Path(folder))]
    for folder in waiting:
        note(f"{folder}: not begun")
    found = {folder: status_of(Path(folder)) for folder in folders if folder not in waiting}
    if not found:
        raise UserError(f"{waiting[0]}: expected a run that has begun, found none yet")
    whole = together(list(found.values()))
    if options.json:
        folders = {folder: status.fields() for folder, status in found.items()}
        write_out(json.dumps({**whole.fields(), "folders": folders}, indent=1) + "\n")
        return
    lines = [f"{folder}: {status}" for folder, status in found.items()]
    write_out("".join(f"{line}\n" for line in [*lines, *([f"all: {whole}"] * (len(lines) > 1))]))


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m vreason_jax.status",
        description="Counts the answers of evaluations: done, failed (no readable video), to do.",
        epilog="Folders of shards that have not begun are not counted.",
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="what evaluate writes to, --out")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
