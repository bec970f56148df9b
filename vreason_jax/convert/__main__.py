"""The converter's command line: `python -m vreason_jax.convert --from DIR_OR_NAME --to DIR`."""

import argparse
import sys
from pathlib import Path

from vreason_jax.command_line import OptionParser, exit_code, warn
from vreason_jax.config import DTYPES
from vreason_jax.errors import UserError
from vreason_jax.settings import one_of


def main(arguments: list[str] | None = None) -> int:
    """Converts as the command line says and returns the exit code."""
    return exit_code(lambda: _run(_parser().parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    if options.dtype is not None:
        one_of("--dtype", options.dtype, DTYPES)
    # Nothing here computes: an accelerator would only have to hold the model.
    import jax

    jax.config.update("jax_platforms", "cpu")
    from vreason_jax.convert.conversion import convert
    from vreason_jax.runtime.check import WrongTensors

    try:
        convert(options.source, Path(options.target), options.dtype, warn=warn)
    except WrongTensors as error:
        summary, *tensors = error.listing.splitlines()
        print(*tensors, sep="\n", file=sys.stderr)
        raise UserError(summary) from None


def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m vreason_jax.convert",
        description="Converts a checkpoint from Hugging Face safetensors to Orbax, or "
        "from Orbax back to safetensors; the files in --from decide which.",
    )
    parser.add_argument(
        "--from", dest="source", required=True, metavar="DIR_OR_NAME", help="folder or hub id"
    )
    parser.add_argument(
        "--to", dest="target", required=True, metavar="DIR", help="a new or empty folder"
    )
    parser.add_argument(
        "--dtype", metavar="D", help=f"of the weights: {', '.join(DTYPES)} [as they are]"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
