"""Parts of a run that machines answer without knowing of each other."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vreason_jax.errors import UserError, shown
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.running.plan import clip_key

# By launcher: the variables of a part's number, of the first number, and of how many there are.
_SLURM = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_COUNT")
_JOB = ("JOB_COMPLETION_INDEX", None, "JOB_COMPLETIONS")  # the last by scripts/jobset.yaml


class Shard(NamedTuple):
    """Part `index` of `count`."""

    index: int = 0
    count: int = 1
    source: str = ""  # the variable that says so; "" where a flag does, or nobody

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def cut(self, records: Sequence[Record]) -> list[Record]:
        """Returns this part's records: every `count`th clip, with all questions about it."""
        numbers: dict[str, int] = {}
        for record in records:
            numbers.setdefault(clip_key(record), len(numbers))
        return [r for r in records if numbers[clip_key(r)] % self.count == self.index]

    def check_goes_on(self, parts: Iterable[str]) -> None:
        """Raises UserError where a folder has been cut otherwise than an array of jobs now says.

        An array of which some jobs are submitted again counts those alone.
        """
        counts = {part.partition("/")[2] for part in parts}
        if self.source and counts and str(self.count) not in counts:
            raise UserError(
                f"--out: its lines are of parts {', '.join(parts)}, and {self.source} says "
                f"{self}; name the part with --shard I/N, or give another folder"
            )


WHOLE = Shard()


def find_shard(text: str | None, environment: Mapping[str, str]) -> Shard:
    """Returns the part that `--shard` names, else an array of jobs; the whole where neither does.

    The flag's text is "I/N", or "N" with I from the environment. Raises UserError for anything
    else.
    """
    if text is None:
        return _of_array(environment) or WHOLE
    match = re.fullmatch(r"(?:(\d+)/)?(\d+)", text)
    if match is None:
        raise UserError(f"--shard: expected I/N, I from 0, such as 0/4, got {shown(text)}")
    count = int(match[2])
    if not count:
        raise UserError(f"--shard: expected at least 1 part, got {shown(text)}")
    if match[1] is not None:
        return _checked(int(match[1]), count, "", text)
    if shard := _of_array(environment, count, text):
        return shard
    raise UserError(
        f"--shard: expected I/N, such as 0/{count}: no array of jobs says which of {text}"
    )


def _of_array(
    environment: Mapping[str, str], count: int | None = None, text: str = ""
) -> Shard | None:
    """Returns the part that an array of jobs names, of `count` or of as many as it says."""
    for name, first, total in (_SLURM, _JOB):
        if name in environment and (count or total in environment):
            index = _number(environment, name) - _number(environment, first, 0)
            text = text or f"{name}={environment[name]}"
            return _checked(index, count or _number(environment, total), name, text)
    return None


def _checked(index: int, count: int, source: str, text: str) -> Shard:
    if not 0 <= index < count:
        raise UserError(
            f"--shard: expected a part from 0 to {max(0, count - 1)} of {count}, got {text}; name "
            "it with --shard I/N"
        )
    return Shard(index, count, source)


def _number(environment: Mapping[str, str], name: str | None, default: int | None = None) -> int:
    value = environment.get(name or "", None if default is None else str(default))
    try:
        return int(value or "")
    except ValueError:
        raise UserError(f"{name}: expected a whole number, got {shown(value)}") from None
