"""What the command lines share: their parser, common options, exit codes and output."""

import argparse
import contextlib
import gc
import io
import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from vreason_jax.errors import UserError, nearest, shown

_LONGEST_LINE = 2000  # characters of an error


class OptionParser(argparse.ArgumentParser):
    """An ArgumentParser that raises UserError, where argparse prints its usage and exits."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def parse_args(self, args=None, namespace=None) -> argparse.Namespace:  # type: ignore[override]
        """Returns the options; an unknown one is an error that names the nearest known one."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = nearest(unknown[0], self._option_string_actions)
            raise UserError(f"unknown argument {shown(unknown[0])}{near}; --help lists all")
        return options

    def error(self, message: str) -> NoReturn:
        """Raises UserError with argparse's own reason: the option, what it takes, what came."""
        raise UserError(f"{message}; --help lists all")


def add_model(parser: OptionParser) -> None:
    """Adds --model and --set, which every program that loads a model has."""
    parser.add_argument(
        "--model",
        metavar="NAME_OR_DIR",
        help="hub id, HF or converted folder, or an embedded name [shapes]",
    )
    add_set(parser)


def add_set(parser: OptionParser, example: str = "controller.every=8") -> None:
    """Adds --set, which is repeatable; `settings.parse_set` reads its values."""
    words = f"one config key, such as {example}; repeatable, wins over other flags"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=words)


def add_devices(parser: OptionParser) -> None:
    """Adds --mesh and the flags that name this process among several; `join_hosts` reads them."""
    add = parser.add_argument
    add("--mesh", metavar="data=1,model=4", help="device mesh [as many on model as serve it]")
    add("--coordinator", metavar="HOST:PORT", help="of several processes: where the first listens")
    add("--process-id", type=integer, metavar="I", help="of several processes: number of this one")
    add("--num-processes", type=integer, metavar="N", help="of several processes: how many")


def add_warmup(parser: OptionParser) -> None:
    """Adds --warmup; `engine.warm_up.warm_up` does it."""
    words = "compile what the config's limits need before the first question"
    parser.add_argument("--warmup", action="store_true", help=words)


def join_hosts(options: argparse.Namespace, *, many: bool = False) -> None:
    """Joins the processes that the options or the environment name; see runtime.distributed.

    `many`: the run asks many questions, which copies of the model may answer side by side.
    """
    with _uncollected("vreason_jax.runtime.distributed"):
        from vreason_jax.runtime import distributed

    hosts = options.coordinator, options.process_id, options.num_processes
    distributed.start(*hosts, mesh=options.mesh, many=many)


@contextlib.contextmanager
def _uncollected(module: str) -> Iterator[None]:
    """Modules stay to the end: the search for garbage among them takes a tenth of a warm start.

    Where the module has been imported, by whoever calls, nothing is left uncollected.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tell_of_end(argv: list[str] | None, code: int, text: str) -> None:
    """Tells the processes that arguments or a launcher name of an end before `join_hosts`."""
    parser = OptionParser(add_help=False)
    add_devices(parser)
    with contextlib.suppress(UserError):
        options, _ = parser.parse_known_args(argv)
        hosts = options.coordinator, options.process_id, options.num_processes
        # An error of one process alone must not wait for others.
        named = any(host is not None for host in hosts) or "JAX_NUM_PROCESSES" in os.environ
        if named or _group().launched_together():
            _group().tell_of_end(code, text, *hosts)


def exit_code(
    program: Callable[[], None], end_alone: Callable[[int, str], None] = lambda code, text: None
) -> int:
    """Runs a program; returns 0, 130 after Ctrl-C, or 2 after a UserError or a lack of memory.

    The last line of stderr then says why. It is one printable line of bounded length, whatever
    file names and values the error quotes. Of several processes all end, whatever one has met.
    `end_alone` is given code and text of an end before others were joined (`tell_of_end`).
    """
    _silence_libraries()
    try:
        program()
    except UserError as error:
        code, text = 2, f"error: {_one_line(str(error))}"
    except MemoryError as error:
        reason = (
            f"the host's memory is too small: {str(error) or 'out of memory'}; ask for less at once"
        )
        code, text = 2, f"error: {_one_line(reason)}"
    except KeyboardInterrupt:
        code, text = 130, "error: interrupted"
    except Exception as error:
        line = _one_line(f"error: {type(error).__name__}: {error}")
        if named := _file_error(error):
            code, text = 2, f"error: {_one_line(named)}"
        elif not _group().begun():
            end_alone(1, line)
            raise
        else:  # its own line behind the traceback, which JAX ends with a notice
            code, text = 1, f"{traceback.format_exc()}{line}"
    else:
        _group().end_well()
        return 0
    if _group().begun():
        _group().end(code, text)
    print(text, file=sys.stderr, flush=True)
    end_alone(code, text)
    return code


def _file_error(error: Exception) -> str:
    """What the system says of a file, such as that its name is too long; "" of other errors."""
    if not isinstance(error, OSError) or error.filename is None or not error.strerror:
        return ""
    return f"{error.filename}: {error.strerror}"


def note(line: str) -> None:
    """Prints a line about the run on stderr; of several processes only the first does."""
    if is_first_process():
        print(line, file=sys.stderr, flush=True)


def warn(line: str) -> None:
    """Prints a warning, as `note` prints a line."""
    note(f"warning: {line}")


def is_first_process() -> bool:
    """Returns whether this process prints; a program that has not loaded JAX is alone."""
    if "jax" not in sys.modules:
        return True
    from vreason_jax.runtime import distributed

    return distributed.is_main()


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
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"stdout: cannot write the answer: {error.strerror}") from None


def integer(text: str) -> int:
    """Returns the whole number of an option's text; argparse reports anything else."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {shown(text)}") from None


def given_path(text: str) -> Path:
    """Returns the path of an option's text; argparse reports an empty one, as of an unset name."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got an empty text")
    return Path(text)


def positive_integer(text: str) -> int:
    """Returns the whole number of an option's text; argparse reports anything below 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {shown(text)}")
    return number


def positive_number(text: str) -> float:
    """Returns the number of an option's text; argparse reports anything not above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {shown(text)}")
    return number


def _group():
    from vreason_jax.runtime import group

    return group


def _one_line(text: str) -> str:
    """Returns the text in one line, control characters escaped, a long one without its middle."""
    line = " ".join(text.splitlines())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def _silence_libraries() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "TPU_MIN_LOG_LEVEL", "TPU_STDERR_LOG_LEVEL"):
        os.environ.setdefault(name, "3")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
