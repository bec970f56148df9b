"""Progress of a run on stderr: a bar on a terminal, occasional lines in a file."""

import sys
import time
from typing import TextIO

_WIDTH = 24
_SECONDS = {True: 0.2, False: 15.0}  # between two lines, on a terminal and elsewhere


class Progress:
    """Counts answers against a total and prints the progress."""

    def __init__(self, total: int, done: int, *, stream: TextIO | None = None, shown: bool = True):
        """Starts with `done` of `total` answers."""
        self._total, self._done, self._before = total, done, done
        self._stream, self._shown = stream or sys.stderr, shown
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._told = float("-inf")

    def add(self, count: int) -> None:
        """Counts new answers."""
        self._done += count
        late = time.monotonic() - self._told >= _SECONDS[self._live]
        if self._shown and (late or self._done == self._total):
            self._tell()

    def close(self) -> None:
        """Ends the line of the bar."""
        if self._shown and self._live:
            self._stream.write("\n")

    def line(self) -> str:
        """Returns the bar, the count, the rate and the remaining time."""
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
