"""Times what a question takes, suite by suite, beside the bounds of the device.

    python scripts/bench.py                                       the 0.25b shape on this device
    python scripts/bench.py --suites load --shapes 3b --dtype bfloat16
    python scripts/bench.py --against transformers                beside torch
    python scripts/bench.py --gpu --out bench.json                all suites on a GPU

Weights are random and made on the device; against transformers, both sides load one file. A share
of a bound is of what was measured in the same run: bytes that must be read over those a reduction
reads, operations of products over those of one large product.
"""

import argparse
import datetime
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from vreason_jax.command_line import exit_code, positive_integer
from vreason_jax.families.model import random_model
from vreason_jax.output.files import check_writable
from vreason_jax.output.trace import library_versions

sys.path.insert(0, str(Path(__file__).parent))
import bench_shapes
import bench_suites

SUITES = ("compile", "vision", "prefill", "decode", "vreason", "load")


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.gpu:
        arguments.shapes, arguments.dtype = ("7b",), "bfloat16"
        arguments.video_tokens, arguments.against = 4096, "transformers"
        arguments.suites = SUITES
    if arguments.out:
        check_writable(arguments.out, "--out")
    # In processes of their own, which need the devices that this one takes later.
    loaded = {shape: _loading(shape, arguments) for shape in arguments.shapes}
    report = {
        "date": datetime.date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "versions": library_versions(),
        "command": "python " + " ".join(sys.argv),
        "bound": bench_suites.measure_bound(jnp.dtype(arguments.dtype)),
        "shapes": {},
    }
    _show("bound", report["bound"])
    for shape in arguments.shapes:
        measured = measure_shape(shape, report["bound"], arguments)
        report["shapes"][shape] = loaded[shape] | measured
        _show(shape, report["shapes"][shape])
    if arguments.against:
        import bench_peer

        report["against_transformers"] = bench_peer.compare(arguments.shapes[0], arguments)
        _show("against transformers", report["against_transformers"])
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(report, indent=1) + "\n")


def measure_shape(shape: str, bound: dict[str, float], arguments) -> dict[str, float]:
    """Returns the figures of one model shape: milliseconds, bytes, ratios, shares of the bounds.

    But those of loading.
    """
    suites, dtype = set(arguments.suites), jnp.dtype(arguments.dtype)
    if suites == {"load"}:
        return {}
    config = bench_shapes.model_config(shape)
    model = random_model(config, dtype)
    question = bench_shapes.synthetic_question(config, arguments.video_tokens)
    result = {
        "video_tokens": arguments.video_tokens,
        "weight_gb": bench_suites.bytes_of(model.decoder) / 1e9,
    }
    if "compile" in suites:
        result |= bench_suites.compile_seconds(model, question)
    if "vision" in suites:
        result |= bench_suites.vision(model, question, bound)
    if "prefill" in suites:
        result |= bench_suites.prefill(model, question, bound)
    if suites & {"decode", "vreason"}:
        result |= bench_suites.decode(model, question, bound, arguments)
    return result


def _loading(shape: str, arguments) -> dict[str, float]:
    if "load" not in arguments.suites:
        return {}
    import bench_load

    return bench_load.measure_load(shape, arguments.dtype)


def _show(title: str, values: dict[str, float]) -> None:
    print(title)
    for name, value in values.items():
        print(f"  {name:28s} {value:.4g}" if isinstance(value, float) else f"  {name:28s} {value}")
    sys.stdout.flush()


def _names_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if not set(found) <= set(known):
            raise argparse.ArgumentTypeError(f"expected names of {', '.join(known)}, got {text}")
        return found

    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--shapes",
        type=_names_of(bench_shapes.SHAPES),
        default=("0.25b",),
        metavar="NAME,...",
        help=f"of {', '.join(bench_shapes.SHAPES)} [0.25b]",
    )
    add(
        "--suites",
        type=_names_of(SUITES),
        default=SUITES[:-1],
        metavar="NAME,...",
        help=f"of {', '.join(SUITES)} [all but load, which writes a checkpoint to $TMPDIR]",
    )
    add("--dtype", default="float32", choices=("float32", "bfloat16"))
    add("--video-tokens", type=int, default=768, choices=bench_shapes.VIDEO_TOKENS)
    add("--every", type=positive_integer, default=4, help="tokens between updates [4]")
    add("--pairs", type=positive_integer, default=20, help="alternating chunks of 16 tokens [20]")
    add("--against", choices=("transformers",), help="time transformers on torch in the same run")
    add(
        "--gpu",
        action="store_true",
        help="all of the 7b shape in bfloat16, with 4096 video tokens, and torch",
    )
    add("--out", metavar="FILE.json", help="write every figure")
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
