"""Every test runs on eight fake CPU devices, in full precision, and without implicit broadcasts."""

import logging
import os
import signal

import xla_flags

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = xla_flags.quick(8)

import hypothesis
import jax
import pytest

from vreason_jax.runtime.compilation import enable_cache

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")
# Where in the source an operation stands costs a tenth of compiling.
jax.config.update("jax_traceback_in_locations_limit", 0)

# A suite that a shell has put into the background would hand on to its programs that Ctrl-C is
# ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a failure is seen by whoever runs the suite, and nothing is kept.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items):
    """What takes minutes by itself begins first: at the end, other workers would wait for it."""
    items.sort(key=lambda item: item.path.name != "test_tpu_programs.py")


@pytest.fixture(scope="session", autouse=True)
def program_cache(tmp_path_factory):
    """Compiled programs are kept for this session alone, and the user's are left untouched.

    What one worker or process has compiled, the others need not.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "programs"
    os.environ["VREASON_JAX_CACHE"] = str(folder)
    enable_cache(print)
    return folder


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with a tiny checkpoint and small media of every kind (tests/generate_runs.py)."""
    from generate_runs import make_place

    return make_place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="session")
def undisturbed(place, tmp_path_factory):
    """What `evaluate` leaves in a process of its own (tests/evaluate_runs.py); only to be read."""
    from evaluate_runs import FLAGS, end_of, start

    folder = tmp_path_factory.mktemp("undisturbed")
    ended = end_of(start(place, "--out", folder, *FLAGS), 600)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture(scope="session")
def tokenizer(place):
    """The tokenizer of the tiny checkpoint."""
    from vreason_jax.prompt.tokenizer import PromptTokenizer

    return PromptTokenizer.load(place / "model")


@pytest.fixture
def run(capsys, monkeypatch, place):
    """Runs `generate` in this process, on the tiny checkpoint unless told otherwise."""
    from generate_runs import Runner

    # The program silences libraries for the whole process, of which it is here a guest.
    monkeypatch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
    return Runner(place, capsys)


@pytest.fixture
def refused(run):
    """Runs, and returns the reason, having checked how it was told."""

    def reason(*flags) -> str:
        ended = run(*flags)
        assert ended.code == 2, ended
        assert ended.out == ""
        assert "Traceback" not in ended.err
        last = ended.err.splitlines()[-1]
        assert last.startswith("error: ")
        return last.removeprefix("error: ")

    return reason
