"""What the command lines share: their options, how wrong input ends them, where words go."""

import argparse
import io
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

from vreason_jax.errors import UserError, nearest


class OptionParser(argparse.ArgumentParser):
    """An ArgumentParser that raises UserError, where argparse prints its usage and exits."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def parse_args(self, args=None, namespace=None) -> argparse.Namespace:  # type: ignore[override]
        """Returns the options; an unknown one is an error that names the nearest known one."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = nearest(unknown[0], self._option_string_actions)
            raise UserError(f"unknown argument {unknown[0]!r}{near}; --help lists all")
        return options

    def error(self, message: str) -> NoReturn:
        """Raises UserError with argparse's own reason: the option, what it takes, what came."""
        raise UserError(f"{message}; --help lists all")


def exit_code(program: Callable[[], None]) -> int:
    """Runs a program; returns 0, or 2 after a UserError, whose line is then stderr's last."""
    _silence_libraries()
    try:
        program()
    except UserError as error:
        print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    return 0


def write_out(text: str) -> None:
    """Writes to stdout at once. A reader that has left, as `head` does, is no error.

    The run goes on to its end all the same: files are still to be written, and other hosts must not
    wait for this one. Raises UserError where the text cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is still buffered would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"stdout: cannot write the answer: {error.strerror}") from None


def positive_number(text: str) -> float:
    """Returns the number of an option's text; argparse reports anything not above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def _silence_libraries() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "TPU_MIN_LOG_LEVEL", "TPU_STDERR_LOG_LEVEL"):
        os.environ.setdefault(name, "3")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
