"""All command lines alike: help, unknown flags, wrong values, and where an error is said."""

import contextlib
import gc
import importlib.util
import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vreason_jax import evaluate, generate, report
from vreason_jax.command_line import exit_code, join_hosts
from vreason_jax.convert import __main__ as convert
from vreason_jax.errors import UserError
from vreason_jax.shapes import __main__ as shapes

ROOT = Path(__file__).parent.parent


def _script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAMS = {
    "generate": generate.main, "evaluate": evaluate.main, "report": report.main,
    "convert": convert.main, "shapes": shapes.main, "train": _script("train_shapes").main,
}  # fmt: skip
VALUES = {
    "generate": "--model", "evaluate": "--set", "report": "--before", "convert": "--to",
    "shapes": "--sheet", "train": "--set",
}  # fmt: skip
HOSTS = ["--coordinator", "localhost:1", "--process-id", "2", "--num-processes", "2"]


@pytest.fixture(autouse=True)
def libraries(monkeypatch):
    """A program silences libraries for the whole process, of which it is here a guest."""
    monkeypatch.setattr("vreason_jax.command_line._silence_libraries", lambda: None)


@pytest.fixture(params=sorted(PROGRAMS))
def program(request, capsys):
    """Runs a program; returns its exit code and what it left on stdout and stderr."""

    def run(*arguments):
        code = PROGRAMS[request.param](list(arguments))
        return code, *capsys.readouterr()

    return run


def test_help_goes_to_stdout_and_ends_in_0(program, capsys):
    with pytest.raises(SystemExit) as ended:
        program("--help")
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert out.startswith("usage: python ") and "options:" in out


def test_an_unknown_flag_is_one_line_on_stderr_and_exit_code_2(program):
    code, out, err = program("--from", "x", "--to", "y", "--out", "z", "--oot=1", "dir")
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "--help lists all" in err


@pytest.mark.parametrize(("name", "flag"), VALUES.items())
def test_a_flag_without_its_value_names_the_flag(name, flag, capsys):
    assert PROGRAMS[name]([flag]) == 2
    expected = f"error: argument {flag}: expected one argument; --help lists all\n"
    assert capsys.readouterr().err == expected


def test_programs_of_several_processes_take_the_same_flags(capsys):
    for main in (generate.main, evaluate.main):
        assert main(HOSTS) == 2
        assert "--process-id: expected 0 to 1" in capsys.readouterr().err
        assert main(HOSTS[:2]) == 2
        assert "no --process-id" in capsys.readouterr().err


# The libraries stay as they are in every example.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.integers(1, 10**6).map(lambda size: "x" * size))
def test_an_error_is_one_printable_line_of_bounded_length(text):
    def fail():
        raise UserError(text)

    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        assert exit_code(fail) == 2
    line = stderr.getvalue()
    assert line.startswith("error: ") and line.endswith("\n")
    assert line[:-1].isprintable() and len(line) < 2100
    if len(text) < 2000 and text.isprintable():
        assert line == f"error: {text}\n"


def test_an_interrupted_program_ends_with_one_line_and_130(capsys):
    def interrupt():
        raise KeyboardInterrupt

    assert exit_code(interrupt) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize(("text", "reason"), [("", "out of memory"), ("1 GB more", "1 GB more")])
def test_a_lack_of_memory_ends_with_its_reason(capsys, text, reason):
    def fail():
        raise MemoryError(*[text] if text else [])

    assert exit_code(fail) == 2
    told = f"error: the host's memory is too small: {reason}; ask for less at once\n"
    assert capsys.readouterr().err == told


def test_an_error_of_several_lines_is_printed_as_one(capsys):
    def fail():
        raise UserError("expected this\n  and that")

    assert exit_code(fail) == 2
    assert capsys.readouterr().err == "error: expected this   and that\n"


def test_what_the_system_says_of_a_file_is_one_line_and_other_errors_stay_whole(capsys):
    assert exit_code(lambda: os.stat("a" * 300) and None) == 2
    assert capsys.readouterr().err.endswith("a: File name too long\n")
    told = []

    def failing():
        raise OSError("of no file")

    with pytest.raises(OSError, match="of no file"):
        exit_code(failing, lambda code, text: told.append((code, text)))
    assert told == [(1, "error: OSError: of no file")]


def test_joining_hosts_again_leaves_no_garbage_uncollected_for_good():
    options = generate._parser().parse_args(["--no-video", "--prompt", "Which?"])
    join_hosts(options)
    frozen = gc.get_freeze_count()
    gc.disable()
    try:
        join_hosts(options)
        assert gc.get_freeze_count() == frozen and not gc.isenabled()
    finally:
        gc.enable()
