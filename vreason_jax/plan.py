"""`python -m vreason_jax.plan`: whether a model fits on devices, and how fast it can be at best."""

import argparse
import dataclasses
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vreason_jax import embedded
from vreason_jax.command_line import OptionParser, exit_code, positive_integer, write_out
from vreason_jax.errors import UserError, nearest, shown

if TYPE_CHECKING:
    from vreason_jax.planning.request import Request

_LARGEST = 2**31
_OPTIONS = {
    "num_frames": "--num-frames",
    "max_frames": "--num-frames",
    "min_pixels": "--min-pixels",
    "max_pixels": "--max-pixels",
}
_REPEATED = re.compile(r"(--num-frames)( or|,) --num-frames")  # two keys, one option
_KEY = re.compile(rf"\bvideo\.({'|'.join(_OPTIONS)})\b")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, or 2 where the user's input is wrong."""
    return exit_code(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    # Nothing is computed on a device: one that is there may be at work.
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        requests = [_request(options, m, d) for m in options.model for d in options.device]
    except UserError as error:  # of the config's keys, which are options here
        words = _KEY.sub(lambda key: _OPTIONS[key[1]], str(error))
        raise UserError(_REPEATED.sub(r"\1", words)) from None
    if options.compile:
        from vreason_jax.planning.programs import check_compilable

        for request in requests:
            check_compilable(request.devices)
    reports = [_report(request, options) for request in requests]
    one = len(reports) == 1
    if options.json:
        write_out(json.dumps(reports[0] if one else reports, indent=1) + "\n")
    else:
        write_out(_page(reports[0]) if one else _table(reports, options.device))
        for report in reports if not one else ():
            for note in _notes(report):
                print(f"{report['model']} on {report['device']}: {note}", file=sys.stderr)


def _request(options: argparse.Namespace, model: str, device: str) -> "Request":
    # Imported late: --help and a mistyped option answer at once.
    from vreason_jax.config import VideoConfig
    from vreason_jax.families.registry import (
        family_of,
        published_config,
        published_name,
        published_names,
        read_model_config,
    )
    from vreason_jax.planning.devices import parse_devices
    from vreason_jax.planning.request import Request
    from vreason_jax.video.preprocessing import Preprocessing

    devices = parse_devices(device)
    folder = Path(model)
    if model in embedded.CHECKPOINTS and not folder.is_dir():
        folder = embedded.CHECKPOINTS[model]
    published = published_name(model)
    if published and (published == model.lower() or not folder.is_dir()):
        config = published_config(published)
        preprocessing = Preprocessing.without_files(config.geometry, family_of(config).media)
    elif folder.is_dir():
        config = read_model_config(folder)
        preprocessing = Preprocessing.read(folder, config.geometry, family_of(config).media)
    else:  # a plan fetches nothing
        names = *published_names(), *embedded.CHECKPOINTS
        raise UserError(
            f"--model {shown(model)}: expected {', '.join(names)} or a checkpoint folder"
            f"{nearest(model.lower(), names)}"
        )
    text = dataclasses.replace(config.text, int8=options.weights == "int8")
    return Request.of(
        preprocessing,
        VideoConfig(
            options.num_frames, min_pixels=options.min_pixels, max_pixels=options.max_pixels
        ),
        model=model,
        config=dataclasses.replace(config, text=text),
        devices=devices,
        max_new_tokens=options.max_new_tokens,
        batch_size=options.batch_size,
        mesh=options.mesh,
    )


def _report(request: "Request", options: argparse.Namespace) -> dict[str, Any]:
    report = request.report()
    if options.compile:
        from vreason_jax.planning.programs import compiled_figures

        report["compiled"] = compiled_figures(request)
    return report


def _page(report: dict[str, Any]) -> str:
    """One plan for people."""
    bytes_of, bound = report["per_device_bytes"], report["bound"]
    mesh = ",".join(f"{axis}={size}" for axis, size in report["mesh"].items())
    verdict = "fits" if report["fits"] else "does not fit"
    lines = [
        f"{report['model']} on {report['device']}, --mesh {mesh}: {verdict}",
        *(f"  {part:<12}{size / 1e9:>8.2f} GB" for part, size in bytes_of.items()),
        f"{report['video_tokens']} video tokens; at best {bound['tokens_per_second']:.0f} tokens a "
        f"second (memory), the first after {bound['first_token_seconds']:.2g} s (products)",
    ]
    return "".join(f"{line}\n" for line in [*lines, *_notes(report)])


def _notes(report: dict[str, Any]) -> list[str]:
    """What the compiler says, and what to change."""
    notes = []
    for name, figures in report.get("compiled", {}).items():
        sizes = ", ".join(f"{k} {v / 1e6:.1f} MB" for k, v in figures.items() if k != "kernels")
        notes.append(f"{name}, compiled: {sizes}, {figures['kernels']} kernels")
    return notes + ([report["advice"]] if report["advice"] else [])


def _table(reports: list[dict[str, Any]], devices: list[str]) -> str:
    """Models by devices: GB on each device, and tokens a second at best; in Markdown."""
    rows = [["", *devices], ["---"] * (1 + len(devices))]
    for first in range(0, len(reports), len(devices)):
        own = reports[first : first + len(devices)]
        rows.append([own[0]["model"], *map(_cell, own)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(report: dict[str, Any]) -> str:
    size = report["per_device_bytes"]["total"] / 1e9
    if not report["fits"]:
        return f"no: {size:.1f} GB"
    return f"{size:.1f} GB, {report['bound']['tokens_per_second']:.0f}/s"


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m vreason_jax.plan",
        description="Says whether a model fits on devices that need not be there, what it takes on "
        "each of them, and how fast it can be at best. Nothing is loaded or run.",
        epilog="Several models or devices give a table.",
    )
    add = parser.add_argument
    words = "a published model, such as 7b (another name lists them), or a folder; several"
    add("--model", nargs="+", required=True, metavar="NAME_OR_DIR", help=words)
    words = "chips or a topology: v5e-8, v5e:2x4, v5p-8, h100:8; several"
    add("--device", nargs="+", required=True, metavar="KIND-N", help=words)
    add("--num-frames", type=_count, metavar="F", help="frames of a clip [16]")
    add("--min-pixels", type=_count, metavar="P", help="of a frame [the model's, else 100352]")
    add("--max-pixels", type=_count, metavar="P", help="of a frame [the model's, else 200704]")
    add("--max-new-tokens", type=_count, default=1024, metavar="N", help="of an answer [1024]")
    words = "of evaluate: answers at once on each copy of the model [one answer of generate]"
    add("--batch-size", type=_count, metavar="B", help=words)
    words = "as model.weights: stored, or int8 [stored]"
    add("--weights", choices=("stored", "int8"), default="stored", help=words)
    add("--mesh", metavar="data=1,model=4", help="device mesh [as many on model as serve it]")
    words = "compile the programs too, and say what the compiler says; TPUs, needs libtpu"
    add("--compile", action="store_true", help=words)
    add("--json", action="store_true", help="one JSON object, or a list of them")
    return parser


def _count(text: str) -> int:
    number = positive_integer(text)
    if number >= _LARGEST:
        raise argparse.ArgumentTypeError(f"expected a number below {_LARGEST}")
    return number


if __name__ == "__main__":
    sys.exit(main())
