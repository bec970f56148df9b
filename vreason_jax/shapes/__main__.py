"""`python -m vreason_jax.shapes`: exports clips with their questions, and draws contact sheets."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vreason_jax.command_line import (
    OptionParser,
    exit_code,
    given_path,
    integer,
    note,
    positive_integer,
)
from vreason_jax.errors import UserError
from vreason_jax.shapes.description import json_line
from vreason_jax.shapes.kinds import KINDS
from vreason_jax.shapes.sample import SPLITS, sample, sample_text
from vreason_jax.shapes.scene import FRAMES


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, or 2 where the user's input is wrong."""
    return exit_code(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    if not (options.out or options.sheet or options.text):
        raise UserError("expected --out FOLDER, --sheet FILE.png or --text FILE.jsonl")
    indices = range(options.first, options.first + options.count)
    chosen = (options.kind, options.level)
    for index in (indices[0], indices[-1]):  # before anything is written
        sample(options.split, index, *chosen, frames=options.frames)
    if options.text:
        from vreason_jax.output.files import make_folder
        from vreason_jax.shapes.export import write_text

        rows = (
            json_line(sample_text(options.split, index, *chosen, frames=options.frames))
            for index in indices
        )
        make_folder(Path(options.text).parent, "--text")
        write_text(Path(options.text), "".join(rows))
        note(f"{options.text}: {options.count} questions with their clips in words")
    samples = (sample(options.split, index, *chosen, frames=options.frames) for index in indices)
    if options.out:
        from vreason_jax.shapes.export import export

        kept = []
        rows = export(samples, options.out, kept.append if options.sheet else None)
        note(f"{rows}: {options.count} rows and their videos")
        samples = kept
    if options.sheet:
        from vreason_jax.shapes.sheet import write_sheet

        write_sheet(list(samples), options.sheet)
        note(f"{options.sheet}: contact sheet")


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m vreason_jax.shapes",
        description="Exports clips of moving shapes as mp4 files with annotation rows in the "
        "Video-R1 format, and draws contact sheets. The same arguments give the same clips.",
    )
    add = parser.add_argument
    add("--split", default="test", help=f"{', '.join(SPLITS)} [test]")
    add("--first", type=integer, default=0, metavar="I", help="index of the first clip [0]")
    add("--count", type=positive_integer, default=8, metavar="N", help="how many clips [8]")
    add("--kind", help=f"one kind of question, of {', '.join(KINDS)} [in turn]")
    add("--level", type=integer, help="one level of difficulty, 1, 2 or 3 [in turn]")
    add("--frames", type=integer, default=FRAMES, help=f"frames per clip, 2 a second [{FRAMES}]")
    add(
        "--out",
        type=given_path,
        metavar="FOLDER",
        help="writes FOLDER/videos/*.mp4 and FOLDER/eval_shapes.json",
    )
    add("--text", metavar="FILE.jsonl", help="writes the questions with their clips in words")
    add("--sheet", metavar="FILE.png", help="draws a contact sheet")
    return parser


if __name__ == "__main__":
    sys.exit(main())
