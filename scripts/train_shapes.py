"""Trains the small checkpoint on `shapes`: python scripts/train_shapes.py --out FOLDER.

After a kill, the same command continues and ends in the same bytes.
"""

import argparse
import ctypes
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vreason_jax.command_line import (  # noqa: E402
    OptionParser,
    add_set,
    exit_code,
    given_path,
    warn,
    write_out,
)
from vreason_jax.settings import parse_set  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    return exit_code(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    from vreason_jax.training.config import load_train_config

    changes = dict(parse_set(text, "run.steps=100") for text in options.set)
    config = load_train_config(options.config, changes)
    _use_cpu_threads(config.run.devices)
    _keep_freed_memory()
    # Imported late: JAX looks for its devices only after they are set.
    from vreason_jax.runtime.compilation import enable_cache
    from vreason_jax.training.loop import train

    enable_cache(warn)
    write_out(f"{train(options.out, config)}\n")


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python scripts/train_shapes.py",
        description="Trains the small checkpoint on `shapes`.",
        epilog="Run again with the same --out, it goes on where it stopped.",
    )
    add = parser.add_argument
    add("--config", default="shapes", metavar="NAME_OR_FILE", help="of configs/train [shapes]")
    add("--out", type=given_path, required=True, metavar="FOLDER", help="made, or gone on with")
    add_set(parser, "run.steps=100")
    return parser


def _use_cpu_threads(devices: int) -> None:
    """Makes `devices` CPU devices of one thread each; must come before the first use of JAX."""
    if devices == 1:
        return
    flags = [
        os.environ.get("XLA_FLAGS", ""),
        f"--xla_force_host_platform_device_count={devices}",
        "--xla_cpu_multi_thread_eigen=false",
    ]
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()


def _keep_freed_memory() -> None:
    """Lets malloc keep freed memory: a step takes 2 GB, new pages cost a quarter of its time."""
    arena_max, mmap_max, trim_threshold = -8, -4, -1  # of glibc's mallopt
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        for name, value in ((arena_max, 2), (mmap_max, 0), (trim_threshold, -1)):
            mallopt(name, value)


if __name__ == "__main__":
    sys.exit(main())
