"""Ctrl-C and SIGTERM: a run ends in time, and its last line says how to go on."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from vreason_jax.runtime import group

# By signal: the exit code, and the seconds that a group in hand may still take.
_ENDINGS = {signal.SIGINT: (130, 0.0), signal.SIGTERM: (75, 3.0)}
_LATEST = 4.0  # seconds after that by which the process has ended, of several the first one
_WRITE_SECONDS, _LAST_SECONDS = 0.5, 2.5  # for a write in progress; for what is done at the end


class Stop:
    """Ends the process when one of the signals comes; a context manager.

    A thread does it. An exception in the main thread would end in a traceback or nowhere, wherever
    a library catches it, and would wait for a compilation. Lines and files are written whole, so
    that the process may end anywhere. SIGTERM, by which machines are preempted, first lets a
    group of questions come to its end. Outside of the main thread, which alone may ask for signals,
    it does nothing.
    """

    def __init__(self):
        self.answers: Callable[[], str] = lambda: "no answers yet"  # for the last line
        self.at_end: Callable[[], None] = lambda: None  # done before the process ends
        self._asked = threading.Event()
        self._group, self._write = threading.Lock(), threading.Lock()

    def __enter__(self) -> "Stop":
        self._held = contextlib.ExitStack()
        if threading.current_thread() is threading.main_thread():
            self._listen()
        return self

    def __exit__(self, *_) -> None:
        self._held.close()

    @contextlib.contextmanager
    def group(self) -> Iterator[None]:
        """Encloses a group of questions, which SIGTERM lets come to its end."""
        with self._group:
            yield
        if self._asked.is_set():
            threading.Event().wait()  # for the end

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """Encloses the lines that stay together: no signal leaves a part of them."""
        with self._write:
            yield

    def _listen(self) -> None:
        for number in _ENDINGS:
            former = signal.getsignal(number)
            if former is not signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, lambda *_: None)
                self._held.callback(signal.signal, number, former)
        # Handlers run in the main thread, whenever that is free; this is written to at once.
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        former = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
        self._held.callback(os.close, writer)  # ends the thread, unless a signal has come
        self._held.callback(signal.set_wakeup_fd, former)

    def _watch(self, reader: int) -> None:
        while came := os.read(reader, 1):
            if came[0] in _ENDINGS:
                self._end(signal.Signals(came[0]))
        os.close(reader)

    def _end(self, number: signal.Signals) -> None:
        code, patience = _ENDINGS[number]
        try:
            self._wind_up(number, patience)
        finally:  # whatever befell it: the main thread waits for the end
            os._exit(code)

    def _wind_up(self, number: signal.Signals, patience: float) -> None:
        began = time.monotonic()
        self._asked.set()
        group.pass_on(number)
        self._group.acquire(timeout=patience)
        self._write.acquire(timeout=_WRITE_SECONDS)
        last = threading.Thread(target=self.at_end, daemon=True)
        last.start()
        last.join(_LAST_SECONDS)
        start = "\n" if sys.stderr.isatty() else ""  # behind a bar
        group.last_line(f"{start}stopped; {self.answers()}; the same command goes on")
        group.leave_after_signal(patience + _LATEST - (time.monotonic() - began))
