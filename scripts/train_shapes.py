"""Trains the small checkpoint on `shapes`: python scripts/train_shapes.py --out FOLDER.

Run again with the same folder after a kill, it goes on where it stopped and ends in the same bytes.
"""

import argparse
import ctypes
import os
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vreason_jax.errors import UserError  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default=str(ROOT / "configs/train/shapes.toml"))
    parser.add_argument("--out", required=True, metavar="FOLDER", help="made, or gone on with")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as run.steps=100"
    )
    options = parser.parse_args(arguments)
    try:
        from vreason_jax.training.config import load_train_config

        config = load_train_config(options.config, dict(map(_override, options.set)))
        _use_cpu_threads(config.run.devices)
        _keep_freed_memory()
        from vreason_jax.runtime.compilation import enable_cache
        from vreason_jax.training.loop import train

        enable_cache(lambda line: print(f"warning: {line}", file=sys.stderr))

        print(train(Path(options.out), config))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


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
    """Lets malloc keep what is freed: a step takes 2 GB, and clean pages cost a quarter of it."""
    arena_max, mmap_max, trim_threshold = -8, -4, -1  # of glibc's mallopt
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        for name, value in ((arena_max, 2), (mmap_max, 0), (trim_threshold, -1)):
            mallopt(name, value)


def _override(text: str) -> tuple:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text!r}: expected KEY=VALUE, such as run.steps=100")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


if __name__ == "__main__":
    sys.exit(main())
