"""How far runs are, by what their folders say while they run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError
from vreason_jax.evaluation.results import workers
from vreason_jax.evaluation.results.lines import PREDICTIONS, read_lines
from vreason_jax.evaluation.results.questions import ASKED, read_words
from vreason_jax.evaluation.results.run_file import FILE, TRACES, read_facts


@dataclasses.dataclass(frozen=True)
class Status:
    """Answers by state, the processes at work, and their speed."""

    done: int  # answers, right or wrong
    failed: int  # questions whose video could not be read: they have a line, too
    to_do: int
    running: int  # processes
    per_minute: float  # answers, of the processes at work

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at this speed; None where nobody is at work."""
        return 60 * self.to_do / self.per_minute if self.per_minute > 0 else None

    def fields(self) -> dict[str, Any]:
        """Returns the fields as plain values, with the total and the seconds left."""
        total = self.done + self.failed + self.to_do
        return {**dataclasses.asdict(self), "total": total, "seconds_left": self.seconds_left}

    def __str__(self) -> str:
        """The status in one line."""
        seconds = self.seconds_left
        left = "" if seconds is None else f", {clock(seconds)} left"
        rate = f"{self.running} running, {self.per_minute:.1f} a minute{left}"
        return f"{self.done} done, {self.failed} failed, {self.to_do} to do; {rate}"


def begun(folder: Path) -> bool:
    """Returns whether a run has begun in a folder; raises UserError where none is about to."""
    if (folder / FILE).is_file():
        return True
    if (folder / TRACES).is_dir():
        return False
    raise UserError(
        f"{folder}: expected a folder that `python -m vreason_jax.evaluate` writes, "
        f"found no {FILE} in it"
    )


def status_of(folder: Path) -> Status:
    """Returns the status of a folder in which a run has `begun`."""
    facts = read_facts(folder)
    lines = read_lines(folder / PREDICTIONS) if (folder / PREDICTIONS).exists() else []
    failed = sum(line.bad_video for line in lines)
    asked = {
        (name, method, seed)
        for name, words in read_words(folder).items()
        for method, seeds in words.get(ASKED, {}).items()
        for seed in seeds
    }
    to_do = len(asked - {line.key for line in lines})
    started = {worker.get("started") for worker in workers.living(folder)}
    rates = [_rate(s) for s in facts.get("sessions", []) if s.get("started") in started]
    return Status(len(lines) - failed, failed, to_do, len(started), sum(rates, 0.0))


def together(statuses: Sequence[Status]) -> Status:
    """Returns the status of several folders, which hold parts of one run or runs of their own."""
    sums = (sum(values) for values in zip(*map(dataclasses.astuple, statuses), strict=True))
    return Status(*sums)


def clock(seconds: float) -> str:
    """Returns "h:mm:ss", or "m:ss" below an hour."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _rate(session: dict[str, Any]) -> float:
    answers = (session.get("counts") or {}).get("answers") or 0
    wall = (session.get("seconds") or {}).get("wall") or 0
    return 60 * answers / wall if wall else 0.0
