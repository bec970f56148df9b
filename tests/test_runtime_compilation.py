import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from vreason_jax.runtime import compilation

ROOT = Path(__file__).parent.parent


@pytest.fixture
def no_cache_set(monkeypatch):
    """JAX without a persistent cache before and after, whatever the environment set."""
    from jax.experimental.compilation_cache import compilation_cache

    keys = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {key: getattr(jax.config, key) for key in keys}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for key, value in before.items():
        jax.config.update(key, value)
    compilation_cache.reset_cache()


def test_the_folder_is_the_variables_then_xdg_then_home(monkeypatch):
    monkeypatch.setenv("VREASON_JAX_CACHE", "/a/b")
    assert compilation.cache_folder() == Path("/a/b")
    monkeypatch.delenv("VREASON_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert compilation.cache_folder() == Path("/x/vreason-jax")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert compilation.cache_folder() == Path("/home/someone/.cache/vreason-jax")


def test_a_new_folder_is_the_owners_alone(tmp_path, monkeypatch, no_cache_set):
    monkeypatch.setenv("VREASON_JAX_CACHE", str(tmp_path / "deep" / "cache"))
    folder = compilation.enable_cache(pytest.fail)
    assert folder == tmp_path / "deep" / "cache"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert jax.config.jax_compilation_cache_dir == str(folder)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_a_folder_that_others_can_open_is_not_used(tmp_path, monkeypatch, no_cache_set, mode):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    monkeypatch.setenv("VREASON_JAX_CACHE", str(tmp_path / "open"))
    lines = []
    assert compilation.enable_cache(lines.append) is None
    assert len(lines) == 1 and "open to other users" in lines[0]
    assert not jax.config.jax_compilation_cache_dir


def test_a_folder_of_another_user_is_not_used(tmp_path, monkeypatch, no_cache_set):
    monkeypatch.setenv("VREASON_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    lines = []
    assert compilation.enable_cache(lines.append) is None
    assert "belongs to another user" in lines[0]


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, monkeypatch, no_cache_set):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VREASON_JAX_CACHE", str(tmp_path / "file" / "cache"))
    lines = []
    assert compilation.enable_cache(lines.append) is None
    assert "cannot be made" in lines[0]


def test_a_home_that_is_nobodys_is_a_warning(monkeypatch, no_cache_set):
    monkeypatch.setenv("VREASON_JAX_CACHE", "~nobody-of-this-name/cache")
    lines = []
    assert compilation.enable_cache(lines.append) is None
    assert len(lines) == 1 and "compiled programs are not kept: " in lines[0]


def test_a_cache_the_caller_set_up_stays(tmp_path, monkeypatch, no_cache_set):
    monkeypatch.setenv("VREASON_JAX_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    assert compilation.enable_cache(pytest.fail) == tmp_path / "theirs"
    assert not (tmp_path / "ours").exists()


TWICE = """
import jax, jax.numpy as jnp
from vreason_jax.runtime.compilation import CompileClock, enable_cache
jnp.ones(3).block_until_ready()  # JAX has compiled before the cache was there
enable_cache(lambda line: exit(line))
with CompileClock() as clock:
    jax.jit(lambda x: jnp.tanh(x) @ x.T)(jnp.ones((5, 7))).block_until_ready()
print(clock.cache_hits, clock.cache_misses)
"""


def test_a_second_process_compiles_nothing_however_small(tmp_path):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    environment["VREASON_JAX_CACHE"] = str(tmp_path / "cache")
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    counts = []
    for _ in range(2):
        command = [sys.executable, "-c", TWICE]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        counts.append(tuple(map(int, result.stdout.split())))
    (first_hits, first_misses), (hits, misses) = counts
    assert first_hits == 0 and first_misses > 0
    assert hits == first_misses and misses == 0


def test_a_stage_is_timed_without_the_compilation_inside_it():
    def slow_to_trace(x):
        time.sleep(0.3)
        return jax.jit(jnp.sin)(x)  # a traced program inside: its span must not count twice

    with compilation.CompileClock() as clock:
        begin = time.perf_counter()
        with clock.stage("work"):
            jax.jit(slow_to_trace)(jnp.ones(4)).block_until_ready()
            time.sleep(0.1)
        wall = time.perf_counter() - begin
    assert clock.seconds >= 0.3
    assert 0.1 <= clock.stages["work"] <= wall - 0.3
    assert clock.seconds + clock.stages["work"] <= wall + 0.01


def test_a_stage_entered_twice_adds_up():
    with compilation.CompileClock() as clock:
        for _ in range(2):
            with clock.stage("work"):
                time.sleep(0.05)
    assert 0.1 <= clock.stages["work"] < 0.2
    assert clock.seconds == 0


def test_nested_spans_count_once_and_separate_ones_add_up(monkeypatch):
    now = iter([1.0, 2.0, 5.0])
    clock = compilation.CompileClock()
    monkeypatch.setattr(compilation.time, "perf_counter", lambda: next(now))
    clock._on_duration("/jax/core/compile/jaxpr_trace_duration", 0.5)  # [0.5, 1]
    clock._on_duration("/jax/core/compile/jaxpr_trace_duration", 1.8)  # [0.2, 2] holds it
    clock._on_duration("/jax/core/compile/backend_compile_duration", 1.0)  # [4, 5]
    clock._on_duration("/jax/checkpoint/write_duration", 9.0)
    assert clock.seconds == pytest.approx(2.8)


def test_after_exit_the_clock_hears_nothing():
    with compilation.CompileClock() as clock:
        pass
    jax.jit(lambda x: x + 2)(jnp.ones(6)).block_until_ready()
    assert clock.seconds == 0
