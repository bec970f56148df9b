"""Command line of the converter; exit code 2 for wrong input, with the reason on stderr."""

import argparse
import sys
from pathlib import Path

from vreason_jax.errors import UserError

_DTYPES = ("float32", "bfloat16", "float16")


def main(arguments: list[str] | None = None) -> int:
    """Converts as the command line says and returns the exit code."""
    options = _parser().parse_args(arguments)
    # Nothing here computes: an accelerator would only have to hold the model.
    import jax

    jax.config.update("jax_platforms", "cpu")
    from vreason_jax.convert.conversion import convert
    from vreason_jax.runtime.check import WrongTensors

    try:
        convert(options.source, Path(options.target), options.dtype, warn=_warn)
    except WrongTensors as error:
        print(error.listing, file=sys.stderr)
        return 2
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m convert",
        description="Converts a Qwen2.5-VL checkpoint from Hugging Face safetensors to Orbax, or "
        "from Orbax to safetensors, told by what --from holds.",
    )
    parser.add_argument(
        "--from", dest="source", required=True, metavar="DIR_OR_NAME", help="folder or hub id"
    )
    parser.add_argument(
        "--to", dest="target", required=True, metavar="DIR", help="a new or empty folder"
    )
    parser.add_argument("--dtype", choices=_DTYPES, help="of the weights written [as they are]")
    return parser


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
