"""`python -m vreason_jax.report DIR...`: the summary and the report of one or several runs.

Runs of several models merge into one report: an evaluation has one model, so each gets a run and a
folder of its own, with the same benchmark, protocol and methods,

    python -m vreason_jax.evaluate ... --experiment models --model MODEL_A --out runs/a
    python -m vreason_jax.evaluate ... --experiment models --model MODEL_B --out runs/b
    python -m vreason_jax.report runs/a runs/b --out runs/both

and a method is then called "model · method": by the last part of the model's name or, where two
models share it, by the whole. Each is compared with the first method of its own model, and the
entropy curves of all lie in one picture. Runs of one model merge, too: of several hosts, or of
several methods. The same answer in two folders counts once; two different ones, two wordings of one
question, and one method under two configurations are refused. The folders stay as they are.
"""

import argparse
import sys
from pathlib import Path

from vreason_jax.command_line import OptionParser, exit_code, given_path, write_out
from vreason_jax.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, or 2 where the user's input is wrong."""
    return exit_code(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> None:
    options = _parser().parse_args(arguments)
    # Imported late: --help and a mistyped option answer at once.
    from vreason_jax.evaluation import report
    from vreason_jax.evaluation.report.differences import check_methods, tell
    from vreason_jax.evaluation.results.rescoring import check_place, rescored, write_scored
    from vreason_jax.evaluation.results.runs import merge_runs
    from vreason_jax.evaluation.scoring.protocol import load_protocol
    from vreason_jax.evaluation.statistics.summary import write_json
    from vreason_jax.output.files import make_folder

    page = _page(options)
    before = merge_runs(options.before) if options.before else None
    run = merge_runs(options.folders)
    chosen = options.diff or []
    check_methods(chosen, run.method_names())
    if options.rescore:
        protocol = load_protocol(options.rescore, flag="--rescore")
        check_place(page.parent, protocol)
        run, before = rescored(run, protocol), before and rescored(before, protocol)
        write_scored(page.parent, run)
    story = report.tell(run, before)
    make_folder(page.parent, "--out")
    write_json(page.parent / "summary.json", story.summary)
    report.write_page(page, story, chosen)
    write_out((tell(run.lines, *chosen) + "\n" if chosen else "") + f"{page}\n")


def _page(options: argparse.Namespace) -> Path:
    """Where the report goes: into the only folder, or into `report` for several."""
    from vreason_jax.evaluation.results.runs import distinct

    given = distinct(options.folders)
    place = Path(options.folders[0] if len(given) == 1 else "report")
    if options.rescore:
        place = place / f"scored_by_{Path(options.rescore).stem}"
    path = Path(options.out or place)
    named = path.suffix.lower() in (".html", ".htm")
    if options.rescore and named:
        raise UserError(f"--out: expected a folder for lines of other scores, got {path}")
    page = path if named else path / "report.html"
    own = given.keys() == distinct([page.parent]).keys()
    if not (own or options.rescore) and (page.parent / "predictions.jsonl").exists():
        raise UserError(f"--out: expected a folder of its own, {page.parent} holds a run")
    return page


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m vreason_jax.report",
        description="Writes summary.json and report.html of one or several evaluation runs.",
        epilog="Runs of several models are told apart as 'model · method', each compared with the "
        "first method of its own model. The same answer in two folders counts once.",
    )
    parser.add_argument("folders", nargs="+", metavar="DIR", help="what evaluate wrote with --out")
    where = "folder, or file ending in .html [the DIR if there is one, else ./report]"
    parser.add_argument("--out", type=given_path, metavar="DIR_OR_FILE", help=where)
    rule = "score the lines by another protocol's rule [into DIR/scored_by_PROTOCOL]"
    parser.add_argument("--rescore", metavar="PROTOCOL", help=rule)
    both = "compare two methods question by question: on stdout, and as the page opens"
    parser.add_argument("--diff", nargs=2, metavar="METHOD", help=both)
    lecture = "same questions asked without VideoMMMU's lectures: adds its gain; repeatable"
    parser.add_argument("--before", action="append", metavar="DIR", help=lecture)
    return parser


if __name__ == "__main__":
    sys.exit(main())
