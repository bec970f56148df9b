"""`python -m vreason_jax.evaluate`: methods over a benchmark; lines, a summary and a report."""

import argparse
import dataclasses
import os
import sys
from typing import TYPE_CHECKING

from vreason_jax.command_line import (
    OptionParser,
    add_devices,
    add_model,
    add_warmup,
    exit_code,
    given_path,
    is_first_process,
    join_hosts,
    note,
    positive_integer,
    tell_of_end,
    warn,
    write_out,
)
from vreason_jax.errors import UserError, shown

if TYPE_CHECKING:
    from vreason_jax.runtime.stopping import Stop


# Flags that may differ from process to process.
_OWN = ("coordinator", "process_id", "num_processes", "out", "data", "model", "template")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code: 0, or 2 where the user's input is wrong."""
    return exit_code(
        lambda: _run(_parser().parse_args(argv)),
        lambda code, text: tell_of_end(argv, code, text),
    )


def _run(arguments: argparse.Namespace) -> None:
    from vreason_jax.runtime.stopping import Stop

    with Stop() as stop:
        _evaluate(arguments, stop)


def _evaluate(arguments: argparse.Namespace, stop: "Stop") -> None:
    # Imported late: --help and a mistyped flag must not wait for JAX.
    from vreason_jax.runtime import group

    if arguments.check:
        note("reads the questions, then the first and the last frame of every video")
    join_hosts(arguments, many=True)
    flags = {f"--{k.replace('_', '-')}": v for k, v in vars(arguments).items() if k not in _OWN}
    group.check_same("flags", flags)
    if arguments.check:
        return _check(arguments)
    if arguments.out is None:
        raise UserError("--out: expected a folder for the answers, got none")
    from vreason_jax.engine.warm_up import warm_up
    from vreason_jax.evaluation.running.evaluation import Evaluation

    request = _request(arguments)
    if request.shard.count > 1:
        by = f", as {request.shard.source} says" if request.shard.source else ""
        note(f"part {request.shard} of the questions{by}; --shard 0/1 asks all")
    evaluation = Evaluation(request, stop, note, warn)

    def ready(engine) -> None:
        if arguments.warmup:
            setup = evaluation.setup
            warm_up(engine, list(setup.methods.values()), setup.limits(), note)

    with evaluation:
        pending = evaluation.begin()
        if pending:
            evaluation.answer(ready)
        else:
            note(f"nothing to do: all answers are in {arguments.out}")
        evaluation.finish()


def _check(arguments: argparse.Namespace) -> None:
    """Lists the videos that are missing or unreadable, before any model is looked at."""
    from vreason_jax.evaluation.running.check import check_videos
    from vreason_jax.evaluation.running.progress import progress_of
    from vreason_jax.evaluation.running.setup import read_questions

    _, methods, dataset = read_questions(_request(arguments), warn)
    records, refused = dataset.records, len(dataset.refused)
    with progress_of("videos", shown=is_first_process()) as progress:
        problems = check_videos(
            records,
            arguments.data or ".",
            next(iter(methods.values())).video,
            allow_outside=arguments.allow_outside,
            progress=progress,
        )
    if is_first_process():
        write_out("".join(f"{problem}\n" for problem in problems))
    if problems:
        bad = sum(len(problem.ids) for problem in problems)
        rows = f"{refused} rows are no questions; " if refused else ""
        raise UserError(
            f"--check: {rows}{len(problems)} videos are missing or unreadable, those of {bad} of "
            f"{len(records)} questions; mend them, or run: they get a status of their own"
        )
    if refused:
        raise UserError(
            f"--check: {refused} rows are no questions, as said above; all videos of the other "
            f"{len(records)} questions can be read; mend them, or run without them"
        )
    note(f"all videos of {len(records)} questions can be read")


def _request(arguments: argparse.Namespace):
    from vreason_jax.evaluation.running.setup import Request
    from vreason_jax.evaluation.running.shards import find_shard
    from vreason_jax.evaluation.scoring.protocol import default_protocol
    from vreason_jax.settings import parse_set

    # Most fields have the name of their flag; those that are read differently follow.
    flags = {field.name for field in dataclasses.fields(Request)} & vars(arguments).keys()
    given = {name: getattr(arguments, name) for name in flags} | {
        "protocol": arguments.protocol or default_protocol(arguments.benchmark),
        "overrides": dict(parse_set(text) for text in arguments.set),
        # Who claims needs no part of an array of jobs.
        "shard": find_shard(arguments.shard, {} if arguments.claim else os.environ),
    }
    return Request(**given)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"expected names with commas between, got {shown(text)}")
    return names


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(seed) for seed in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or not all(0 <= seed < 2**32 for seed in seeds) or len({*seeds}) < len(seeds):
        raise argparse.ArgumentTypeError(
            f"expected different whole numbers from 0 on, with commas between, got {shown(text)}"
        )
    return seeds


class _Parser(OptionParser):
    def format_help(self) -> str:
        """Returns the help with the names that its options take, which other lines need not."""
        from vreason_jax.config import CONFIG_FOLDER
        from vreason_jax.evaluation.readers import BENCHMARKS
        from vreason_jax.toml_files import names_in

        self.epilog = (
            "Run again with the same --out, it goes on where it stopped. "
            f"Benchmarks: {', '.join(BENCHMARKS)}. Methods: {', '.join(names_in(CONFIG_FOLDER))}. "
            f"Experiments: {', '.join(names_in(CONFIG_FOLDER / 'experiments'))}. "
            f"Protocols: {', '.join(names_in(CONFIG_FOLDER / 'protocols'))}."
        )
        return super().format_help()


def _parser() -> OptionParser:
    parser = _Parser(
        prog="python -m vreason_jax.evaluate",
        description="Answers a benchmark by several methods, and says whether they differ.",
    )
    add = parser.add_argument
    add("--benchmark", default="shapes", metavar="NAME", help="which questions [shapes]")
    add("--split", default="test", metavar="NAME", help="of shapes: test or validation [test]")
    add("--data", type=given_path, metavar="DIR", help="folder of its annotation and videos")
    add(
        "--protocol",
        metavar="NAME_OR_FILE",
        help="how it is asked and scored [video_r1; of shapes, shapes]",
    )
    add("--template", metavar="FILE", help="prompt with {question}, in place of the protocol's")
    add("--out", type=given_path, metavar="DIR", help="folder of lines, traces, summary and report")
    add("--methods", type=_names, default=[], metavar="A,B", help="run configs [baseline,vreason]")
    add("--experiment", metavar="NAME_OR_FILE", help="methods of a file of configs/experiments")
    add(
        "--control",
        default="none",
        metavar="NAME",
        help="what the model does not get: blank, shuffled, no_last_values [none]",
    )
    add(
        "--compare-logits",
        action="store_true",
        help="measure every method's logits against the first's, on the first's answers",
    )
    add(
        "--time-controller",
        action="store_true",
        help="also time plain decoding where no method does it, for the controller's share",
    )
    add("--seeds", type=_seeds, default=[0], metavar="0,1,2", help="seeds of sampling [0]")
    add(
        "--shard",
        metavar="I/N",
        help="part I, from 0, of N, each clip whole [all, or the part of an array of jobs]",
    )
    add(
        "--claim",
        action="store_true",
        help="share a folder with others that run the same: each takes clips until none is left",
    )
    add("--limit", type=positive_integer, metavar="N", help="the first N questions alone")
    add("--check", action="store_true", help="list missing and unreadable videos, and end")
    add("--strict", action="store_true", help="a broken row of the annotation ends the run")
    add("--allow-outside", action="store_true", help="follow symbolic links out of --data")
    add("--retry-failed", action="store_true", help="try videos again that could not be read")
    add("--batch-size", type=positive_integer, default=8, metavar="B", help="questions a copy [8]")
    add_warmup(parser)
    add_model(parser)
    add_devices(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
