"""The cache of compiled programs between runs, and the seconds of compilation."""

import contextlib
import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from vreason_jax.errors import one_line

_COMPILE_EVENTS = "/jax/core/compile/"  # tracing, lowering, and compiling or fetching from disk
_CACHE_EVENTS = "/jax/compilation_cache/cache_"  # hits, misses


def enable_cache(warn: Callable[[str], None]) -> Path | None:
    """Stores every compiled program in a private folder of the user, and returns the folder.

    The folder is $VREASON_JAX_CACHE, else vreason-jax in $XDG_CACHE_HOME or ~/.cache. Its programs
    are executed, so a folder that others can open is not used: then `warn` gets the reason as a
    line, and the result is None. A cache that the caller has set up in JAX stays as it is.
    """
    chosen = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if chosen:
        return Path(chosen)
    try:
        folder = cache_folder()
    except RuntimeError as error:  # nobody's home
        warn(f"compiled programs are not kept: {one_line(error)}")
        return None
    reason = _make_private(folder)
    if reason:
        warn(f"compiled programs are not kept: {folder} {reason}")
        return None
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # JAX decides at its first compilation whether there is a cache, and that may lie behind us.
    compilation_cache.reset_cache()
    return folder


def cache_folder() -> Path:
    """Returns the folder of compiled programs; raises RuntimeError where no home is known."""
    chosen = os.environ.get("VREASON_JAX_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vreason-jax"


class CompileClock:
    """Counts the programs JAX compiles and the seconds they take, and times stages beside them.

    It listens to JAX's own events from entry to exit and so sees every program, whoever starts it.
    Threads may enter it beside one another.
    """

    def __init__(self):
        self.programs = 0  # compiled or taken from the persistent cache
        self.cache_hits = 0
        self.cache_misses = 0
        self.stages: dict[str, float] = {}  # seconds a stage, without compilation
        # Of each thread: disjoint, in order.
        self._spans: dict[int, list[tuple[float, float]]] = {}
        self._entered, self._entering = 0, threading.Lock()
        self._inner = [0.0]  # seconds of the stages inside each open one

    def __enter__(self) -> "CompileClock":
        with self._entering:
            self._entered += 1
            if self._entered == 1:
                jax.monitoring.register_event_duration_secs_listener(self._on_duration)
                jax.monitoring.register_event_listener(self._on_event)
        return self

    def __exit__(self, *_) -> None:
        with self._entering:
            self._entered -= 1
            if self._entered == 0:
                jax.monitoring.unregister_event_duration_listener(self._on_duration)
                jax.monitoring.unregister_event_listener(self._on_event)

    @property
    def seconds(self) -> float:
        """The seconds of compilation so far; those of several threads count once."""
        total, until = 0.0, -math.inf
        for begin, end in sorted(itertools.chain(*self._spans.values())):
            total += max(0.0, end - max(begin, until))
            until = max(until, end)
        return total

    def snapshot(self) -> dict[str, float]:
        """Returns the stages' seconds so far, those of `compile`, and counts of programs."""
        counts = {"programs": self.programs, "from_cache": self.cache_hits}
        return {**self.stages, "compile": self.seconds, **counts}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the seconds of the block to `stages[name]`.

        Less those of compilation and of other stages inside it. The block must wait for its
        results: what JAX still computes is not counted.
        """
        begin, compiled = time.perf_counter(), self._own_seconds()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - begin - (self._own_seconds() - compiled)
            own = whole - self._inner.pop()
            self._inner[-1] += whole
            self.stages[name] = self.stages.get(name, 0.0) + max(0.0, own)

    def _on_duration(self, event: str, duration_secs: float, **_: str | int) -> None:
        self.programs += event == _COMPILE_EVENTS + "backend_compile_duration"
        if not event.startswith(_COMPILE_EVENTS):
            return
        end = time.perf_counter()
        begin = end - duration_secs
        # An event arrives at its end, and tracing a program traces those it calls: spans inside
        # this one have arrived before it and must not count twice.
        spans = self._spans.setdefault(threading.get_ident(), [])
        while spans and spans[-1][0] >= begin:
            spans.pop()
        if spans:
            begin = max(begin, spans[-1][1])
        spans.append((begin, end))

    def _own_seconds(self) -> float:
        """Those of compilation in this thread."""
        return sum(end - begin for begin, end in self._spans.get(threading.get_ident(), []))

    def _on_event(self, event: str, **_: str | int) -> None:
        if event == _CACHE_EVENTS + "hits":
            self.cache_hits += 1
        elif event == _CACHE_EVENTS + "misses":
            self.cache_misses += 1


def _make_private(folder: Path) -> str | None:
    """Creates the folder for the owner alone; returns the reason why it cannot be used, or None."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return "belongs to another user"
    if status.st_mode & 0o077:
        return "is open to other users (chmod 700 makes it private)"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "is not writable"
    return None
