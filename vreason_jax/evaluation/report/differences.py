"""Two methods question by question, in words. The page's `questions.js` has the same rule."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vreason_jax.errors import UserError, nearest, one_line, shown
from vreason_jax.evaluation.results.lines import STATUS_WORDS, Line

# A score against the first method's; where it is the same, the answers; or one was not asked.
OUTCOMES = ("better", "worse", "other answer", "same answer", "one method only")
_COUNTED = OUTCOMES[3:]  # without a list


class Pair(NamedTuple):
    """Two methods' answers to one question with one seed; one of them may be missing."""

    first: Line | None
    second: Line | None

    @property
    def outcome(self) -> str:
        """One of OUTCOMES, of the second against the first."""
        if self.first is None or self.second is None:
            return OUTCOMES[4]
        if self.first.score != self.second.score:
            return OUTCOMES[self.second.score < self.first.score]
        return OUTCOMES[2 + (self.first.answer == self.second.answer)]


def pairs(lines: Iterable[Line], first: str, second: str) -> list[Pair]:
    """Returns the answers of two methods to each question, by seed.

    A method with one seed, such as greedy decoding, stands beside every seed of the other.
    """
    questions: dict[str, dict[str, dict[int, Line]]] = {}
    for line in lines:
        if line.method in (first, second):
            answers = questions.setdefault(line.id, {first: {}, second: {}})
            answers[line.method][line.seed] = line
    found = {name: {s for a in questions.values() for s in a[name]} for name in (first, second)}
    single = {name for name, seeds in found.items() if len(seeds) == 1}
    return [
        Pair(*(_of(answers[name], seed, name in single) for name in (first, second)))
        for answers in questions.values()
        for seed in _seeds(*(answers[name] for name in (first, second) if name not in single))
    ]


def check_methods(chosen: Sequence[str], known: Sequence[str]) -> None:
    """Raises UserError for a method that a run does not have."""
    for name in chosen:
        if name not in known:
            raise UserError(
                f"--diff: expected two methods of {', '.join(known)}; got {shown(name)}"
                f"{nearest(name, known)}"
            )


def tell(lines: Iterable[Line], first: str, second: str) -> str:
    """Returns how many answers differ, and which: a line for each."""
    groups: dict[str, list[Pair]] = {outcome: [] for outcome in OUTCOMES}
    for pair in pairs(lines, first, second):
        groups[pair.outcome].append(pair)
    rows = [f"{second} against {first}, {sum(map(len, groups.values()))} answers"]
    rows += [f"{len(group):7} {outcome}" for outcome, group in groups.items() if group]
    for outcome, group in groups.items():
        if group and outcome not in _COUNTED:
            rows += ["", f"{outcome}:", *map(_row, group)]
    return "\n".join(rows) + "\n"


def _row(pair: Pair) -> str:
    old, new = pair
    assert old is not None and new is not None
    seed = f", seed {new.seed}" if new.seed else ""
    said = (f"{_said(line)} ({line.score:.3g})" for line in (old, new))
    # Models and annotations write what they like, also what a terminal obeys.
    return "  " + one_line(f"{old.id}{seed}, {old.task}, gold {old.gold}: {' -> '.join(said)}")


def _said(line: Line) -> str:
    words = STATUS_WORDS[line.status] if line.answer is None else line.answer
    return words if len(words) <= 60 else f"{words[:59]}…"


def _seeds(*several: dict[int, Line]) -> list[int | None]:
    return list(dict.fromkeys(seed for by_seed in several for seed in by_seed)) or [None]


def _of(by_seed: dict[int, Line], seed: int | None, single: bool) -> Line | None:
    if single:
        return next(iter(by_seed.values()), None)
    return None if seed is None else by_seed.get(seed)
