"""Progress of a run on stderr: a bar on a terminal, occasional lines in a file."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
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
        unit: str = "answers",
    ):
        """`done` says how many of the `total` there are, whoever has given them."""
        self._unit, self._total, self._count, self._before = unit, total, done, done()
        self._stream, self._shown = stream or sys.stderr, shown
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._told, self._ended = float("-inf"), False

    def tell(self) -> None:
        """Prints the progress, if it was not printed just now or is at its end."""
        late = time.monotonic() - self._told >= _SECONDS[self._live]
        if self._shown and not self._ended and (late or self._count() == self._total):
            self._ended = self._count() == self._total
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
        count = f"{done}/{self._total} {self._unit}"
        return f"[{bar:<{_WIDTH}}] {count}, {rate:.1f} a minute, {left}"

    def _tell(self) -> None:
        self._told = time.monotonic()
        text = f"\r{self.line()} " if self._live else f"{self.line()}\n"
        self._stream.write(text)
        self._stream.flush()


@contextlib.contextmanager
def progress_of(unit: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that is told the number done and the total, and prints the progress."""
    bars: list[Progress] = []
    done = 0

    def tell(count: int, total: int) -> None:
        nonlocal done
        done = count
        if not bars:
            bars.append(Progress(total, lambda: done, shown=shown and total > 0, unit=unit))
        bars[0].tell()

    yield tell
    for bar in bars:
        bar.close()
