"""Prints how often the evaluation's intervals and tests are right, over simulated runs.

    python scripts/simulate_statistics.py [--runs 2000]

Every row is a pair of methods with a known true difference, drawn so many times and put through
`evaluation/statistics` as a real run would be. "covers" is how often the 95 % interval of the
difference holds the true one, "p < 0.05" how often the test finds a difference: where there is
none, 5 % is right, else it is the power. "score covers" is of the second method's own interval.
With 2,000 runs a share of 95 % is known to ± 1.0 points (two standard errors).
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from vreason_jax.evaluation.statistics.clips import mean_over_clips
from vreason_jax.evaluation.statistics.intervals import difference_interval, score_interval
from vreason_jax.evaluation.statistics.significance import holm, mcnemar, sign_flip

DRAWS = 1_000  # resamples and flips, a tenth of a report's: their noise is small against the runs'
KEY = 20_261_125


class Sample(NamedTuple):
    """Scores of two methods in R runs over Q questions, and what is true of them."""

    first: np.ndarray  # [R, Q], means over seeds
    other: np.ndarray
    true: float  # difference of the means
    score: float  # mean of the second method
    clips: np.ndarray | None = None  # [Q]; None: one question a clip
    groups: np.ndarray | None = None  # [Q], for a mean over tasks


Scenario = Callable[[np.random.Generator, int], Sample]


def independent(questions: int, right: float, gain: float, loss: float) -> Scenario:
    """One question a clip: wrong answers become right with `gain`, right ones wrong with `loss`."""
    return by_tasks(np.array([questions]), gain, loss, right, right)


def seeds(questions: int, of_first: int, of_other: int, right: float, shared: bool) -> Scenario:
    """Equal means from different numbers of seeds; `shared`: questions are as hard for both."""

    def draw(rng: np.random.Generator, runs: int) -> Sample:
        hard = rng.beta(4 * right, 4 * (1 - right), (runs, questions, 1)) if shared else right
        scores = [
            (rng.random((runs, questions, count)) < hard).mean(2) for count in (of_first, of_other)
        ]
        return Sample(scores[0], scores[1], 0.0, right)

    return draw


def relative(questions: int, shift: float) -> Scenario:
    """Mean relative accuracy in tenths: half of the questions move by up to three tenths."""

    def draw(rng: np.random.Generator, runs: int) -> Sample:
        first = rng.integers(3, 8, (runs, questions)) / 10
        moves = rng.integers(-3, 4, first.shape) * (rng.random(first.shape) < 0.5)
        up = rng.random(first.shape) < shift / 0.1
        other = np.clip(first + moves / 10 + up / 10, 0, 1)
        grid = np.arange(3, 8)[:, None, None] + np.arange(-3, 4)[:, None] + np.arange(2)
        capped = np.minimum(grid / 10, 1).mean((0, 1)) @ [1 - shift / 0.1, shift / 0.1]
        still = np.minimum(np.arange(3, 8)[:, None] + np.arange(2), 10) / 10
        mean = 0.5 * capped + 0.5 * still.mean(0) @ [1 - shift / 0.1, shift / 0.1]
        return Sample(first, other, float(mean - 0.5), float(mean))

    return draw


def clustered(sizes: np.ndarray, icc: float, differ: float = 0.2, tasks: int = 1) -> Scenario:
    """Questions about clips of `sizes` [C]: what differs has a part of its clip, a share `icc`.

    With `tasks`, a clip's questions are of any of them, the later ones rarer, and the figure is
    the mean over tasks.
    """
    clips = np.repeat(np.arange(len(sizes)), sizes)

    def latent(rng: np.random.Generator, runs: int) -> np.ndarray:
        own = rng.standard_normal((runs, len(clips)))
        return np.sqrt(icc) * rng.standard_normal((runs, len(sizes)))[:, clips] + (
            np.sqrt(1 - icc) * own
        )

    def draw(rng: np.random.Generator, runs: int) -> Sample:
        side, ease = ndtr(latent(rng, runs)), ndtr(latent(rng, runs)) < 0.6
        gains, losses = side > 1 - differ / 2, side < differ / 2
        first = np.where(gains, 0.0, np.where(losses, 1.0, ease))
        other = np.where(gains, 1.0, np.where(losses, 0.0, ease))
        score = 0.6 * (1 - differ) + 0.5 * differ
        shares = np.arange(tasks, 0, -1) / (tasks * (tasks + 1) / 2)
        groups = rng.choice(tasks, len(clips), p=shares)
        return Sample(first, other, 0.0, score, clips, groups if tasks > 1 else None)

    return draw


def by_tasks(
    tasks: np.ndarray, gain: float, loss: float, hardest: float = 0.3, easiest: float = 0.9
) -> Scenario:
    """Tasks with so many questions each, one a clip, of rising shares of right answers."""
    groups = np.repeat(np.arange(len(tasks)), tasks)
    rates = np.linspace(hardest, easiest, len(tasks))

    def draw(rng: np.random.Generator, runs: int) -> Sample:
        first = rng.random((runs, len(groups))) < rates[groups]
        chance = rng.random(first.shape)
        other = np.where(first, chance >= loss, chance < gain)
        true = float(np.mean((1 - rates) * gain - rates * loss))
        scores = 1.0 * first, 1.0 * other, true, float(rates.mean()) + true
        return Sample(*scores, None, groups if len(tasks) > 1 else None)

    return draw


def _uneven(clips: int, most: int) -> np.ndarray:
    return np.random.default_rng(KEY).integers(1, most + 1, clips)


SCENARIOS: dict[str, dict[str, Scenario]] = {
    "independent questions, one seed": {
        "1,040, 5.6 % differ": independent(1040, 0.86, 0.2, 0.2 * 0.14 / 0.86),
        "240, 6 % differ": independent(240, 0.85, 0.2, 0.2 * 0.15 / 0.85),
        "120, 10 % differ": independent(120, 0.5, 0.1, 0.1),
        "40, 20 % differ": independent(40, 0.5, 0.2, 0.2),
        "1,040, +3.9 points": independent(1040, 0.86, 0.4, 0.02),
        "900, +1.5 points": independent(900, 0.5, 0.1, 0.07),
        "240, +3.5 points": independent(240, 0.85, 0.35, 0.02),
        "120, +1.8 points": independent(120, 0.85, 0.4, 0.05),
        "40, +10 points": independent(40, 0.5, 0.3, 0.1),
        "240 of MRA, no difference": relative(240, 0.0),
        "240 of MRA, +2 points": relative(240, 0.02),
    },
    "few answers differ": {
        "1,040, 1.5 % differ": independent(1040, 0.85, 0.05, 0.05 * 0.15 / 0.85),
        "240, 1.5 % differ": independent(240, 0.85, 0.05, 0.05 * 0.15 / 0.85),
        "1,040, gains alone, +0.75 points": independent(1040, 0.85, 0.05, 0.0),
        "1,040, gains alone, +0.21 points": independent(1040, 0.85, 0.014, 0.0),
        "240, gains alone, +0.75 points": independent(240, 0.85, 0.05, 0.0),
        "120, gains alone, +0.75 points": independent(120, 0.85, 0.05, 0.0),
    },
    "several seeds, no difference": {
        "240, 2 seeds against 1": seeds(240, 1, 2, 0.8, False),
        "1,000, 2 against 1": seeds(1000, 1, 2, 0.8, False),
        "240, 3 against 1": seeds(240, 1, 3, 0.8, False),
        "1,000, 3 against 1, 40 % right": seeds(1000, 1, 3, 0.4, False),
        "1,000, 4 against 1, shared difficulty": seeds(1000, 1, 4, 0.6, True),
        "240, 3 against 3, shared difficulty": seeds(240, 3, 3, 0.65, True),
        "60, 3 against 1": seeds(60, 1, 3, 0.8, False),
    },
    "several questions a clip, no difference": {
        "100 clips x 3, ICC 0.1": clustered(np.full(100, 3), 0.1),
        "100 x 3, ICC 0.3": clustered(np.full(100, 3), 0.3),
        "100 x 3, ICC 0.5": clustered(np.full(100, 3), 0.5),
        "60 x 18, ICC 0.1": clustered(np.full(60, 18), 0.1),
        "60 x 18, ICC 0.3": clustered(np.full(60, 18), 0.3),
        "60 x 18, ICC 0.5": clustered(np.full(60, 18), 0.5),
        "60 x 1 to 35, ICC 0.3": clustered(_uneven(60, 35), 0.3),
        "15 x 18, ICC 0.3": clustered(np.full(15, 18), 0.3),
        "60 x 18, ICC 0.3, 2 % differ": clustered(np.full(60, 18), 0.3, 0.02),
    },
    "means of tasks": {
        "8 tasks on 100 clips x 18, ICC 0.1": clustered(np.full(100, 18), 0.1, tasks=8),
        "8 tasks on 100 clips x 18, ICC 0.5": clustered(np.full(100, 18), 0.5, tasks=8),
        "8 tasks on 60 clips x 1 to 35, ICC 0.3": clustered(_uneven(60, 35), 0.3, tasks=8),
        "20 tasks x 20, no difference": by_tasks(np.full(20, 20), 0.12, 0.08),
        "20 tasks x 200, +2 points": by_tasks(np.full(20, 200), 0.12, 0.05),
        "8 tasks of 10 to 150": by_tasks(np.linspace(10, 150, 8).astype(int), 0.15, 0.1),
        "8 tasks of 30, 2 % differ": by_tasks(np.full(8, 30), 0.03, 0.02),
    },
}

FAMILY = "23 methods against one, none different"


def measure(sample: Sample) -> list[float]:
    """Returns in percent: coverage, p < 0.05, coverage of the score; and the mean width, points."""
    plain = np.isin([sample.first, sample.other], (0, 1)).all()
    single = plain and sample.clips is None and sample.groups is None
    questions = sample.first.shape[1]
    clips = np.arange(questions) if sample.clips is None else sample.clips
    weights = None
    if sample.groups is not None:
        sizes = np.bincount(sample.groups)
        weights = 1 / (np.count_nonzero(sizes) * sizes[sample.groups])
    held, small, scored, width = [], [], [], []
    for key, (first, other) in enumerate(zip(sample.first, sample.other, strict=True)):
        mean = mean_over_clips(other - first, clips, sample.groups, weights)
        low, high = difference_interval(mean, resamples=DRAWS, key=key)
        own = mean_over_clips(other, clips, sample.groups, weights)
        ends = score_interval(own, plain=bool(single))
        counts = int(np.sum(other < first)), int(np.sum(other > first))
        p = mcnemar(*counts) if single else sign_flip(mean.parts, DRAWS, key)
        held.append(low - 1e-12 <= sample.true <= high + 1e-12)
        small.append(p < 0.05)
        scored.append(ends[0] <= sample.score <= ends[1])
        width.append(high - low)
    return [100 * float(np.mean(values)) for values in (held, small, scored, width)]


def families(runs: int, methods: int = 23, questions: int = 1040) -> list[float]:
    """Returns in percent how often some p of a family without differences is < 0.05: raw, Holm."""
    rng, found = np.random.default_rng(KEY), np.zeros(2)
    for _ in range(runs):
        first = rng.random(questions) < 0.86
        chance = rng.random((methods, questions))
        other = np.where(first, chance >= 0.2 * 0.14 / 0.86, chance < 0.2)
        counts = zip(np.sum(first & ~other, 1), np.sum(other & ~first, 1), strict=True)
        p = np.array([mcnemar(int(a), int(b)) for a, b in counts])
        found += [p.min() < 0.05, holm(p).min() < 0.05]
    return (100 * found / runs).tolist()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=2_000, metavar="N", help="of each row [2000]")
    parser.add_argument("--only", default="", metavar="WORD", help="the parts whose title holds it")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    print("| | true, points | covers, % | p < 0.05, % | width, points | score covers, % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for part, scenarios in SCENARIOS.items():
        if options.only not in part:
            continue
        print(f"| **{part}** | | | | | |")
        for name, draw in scenarios.items():
            words = np.frombuffer(name.encode(), np.uint8)  # a row does not hang on the others
            sample = draw(np.random.default_rng([KEY, *words]), options.runs)
            held, small, scored, width = measure(sample)
            true = f"{100 * sample.true:+.2f}" if abs(sample.true) > 1e-9 else "0"
            cells = [name, true, *(f"{v:.1f}" for v in (held, small, width, scored))]
            print("| " + " | ".join(cells) + " |", flush=True)
    if options.only in FAMILY:
        raw, adjusted = families(options.runs)
        print(f"\n{FAMILY}: some p < 0.05 in {raw:.1f} %, by Holm in {adjusted:.1f} %.")
    print(f"{options.runs} runs a row; {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
