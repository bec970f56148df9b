"""Progress of a run on stderr: a bar on a terminal, occasional lines in a file."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from vreason_jax.evaluation.results.status import clock

_WIDTH = 24
_SECONDS = {True: 0.2, False: 15.0}  # between two lines, on a terminal and elsewhere


class Progress:
    """Counts answers against a total and prints the progress."""

    def __init__(
        self,
        total: int,
        done: Callable[[], int],
        *,
        stream: TextIO | None = None,
        shown: bool = True,
    ):
        """`done` says how many of the `total` answers there are, whoever has given them."""
        self._total, self._count, self._before = total, done, done()
        self._stream, self._shown = stream or sys.stderr, shown
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._told = float("-inf")

    def tell(self) -> None:
        """Prints the progress, if it was not printed just now or is at its end."""
        late = time.monotonic() - self._told >= _SECONDS[self._live]
        if self._shown and (late or self._count() == self._total):
            self._tell()

    def close(self) -> None:
        """Ends the line of the bar."""
        if self._shown and self._live:
            self._stream.write("\n")

    def line(self) -> str:
        """Returns the bar, the count, the rate and the remaining time."""
        done = self._count()
        share = done / self._total if self._total else 1.0
        bar = "#" * int(share * _WIDTH)
        minutes = (time.monotonic() - self._began) / 60
        rate = (done - self._before) / minutes if minutes > 0 else 0.0
        left = f"{clock(60 * (self._total - done) / rate)} left" if rate else "-"
        count = f"{done}/{self._total} answers"
        return f"[{bar:<{_WIDTH}}] {count}, {rate:.1f} a minute, {left}"

    def _tell(self) -> None:
        self._told = time.monotonic()
        text = f"\r{self.line()} " if self._live else f"{self.line()}\n"
        self._stream.write(text)
        self._stream.flush()
