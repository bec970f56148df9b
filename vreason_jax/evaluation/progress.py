"""How far a run is, on stderr: a bar on a terminal, a line now and then in a file."""

import sys
import time
from typing import TextIO

_WIDTH = 24
_SECONDS = {True: 0.2, False: 15.0}  # between two lines, on a terminal and elsewhere


class Progress:
    """Counts answers against a total and tells of it."""

    def __init__(self, total: int, done: int, *, stream: TextIO | None = None, shown: bool = True):
        """`done` of the `total` answers were there before."""
        self._total, self._done, self._before = total, done, done
        self._stream, self._shown = stream or sys.stderr, shown
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._told = float("-inf")

    def add(self, count: int) -> None:
        """Counts answers that have just been written."""
        self._done += count
        late = time.monotonic() - self._told >= _SECONDS[self._live]
        if self._shown and (late or self._done == self._total):
            self._tell()

    def close(self) -> None:
        """Leaves the line that a bar stands on."""
        if self._shown and self._live:
            self._stream.write("\n")

    def line(self) -> str:
        """Returns the bar, the count, the rate and the time that is left."""
        share = self._done / self._total if self._total else 1.0
        bar = "#" * int(share * _WIDTH)
        minutes = (time.monotonic() - self._began) / 60
        rate = (self._done - self._before) / minutes if minutes > 0 else 0.0
        left = f"{_clock(60 * (self._total - self._done) / rate)} left" if rate else "-"
        count = f"{self._done}/{self._total} answers"
        return f"[{bar:<{_WIDTH}}] {count}, {rate:.1f} a minute, {left}"

    def _tell(self) -> None:
        self._told = time.monotonic()
        text = f"\r{self.line()} " if self._live else f"{self.line()}\n"
        self._stream.write(text)
        self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
