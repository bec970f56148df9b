"""`summary.json`: the results of an evaluation as numbers with their errors."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.evaluation.results.lines import CHANGES, STATUSES, Line
from vreason_jax.evaluation.results.runs import Run, check_unique, origin, read_run
from vreason_jax.evaluation.running.controls import NONE
from vreason_jax.evaluation.statistics import aggregate, intervals, power, significance
from vreason_jax.evaluation.statistics.budgets import equal_tokens
from vreason_jax.evaluation.statistics.scores import (
    Value,
    clip_of,
    compare,
    constant_accuracy,
    describe,
    question_scores,
    strict,
)
from vreason_jax.output.files import write_json
from vreason_jax.output.trace import to_plain

# By model and method as `evaluate` named it, then by question.
Before = Mapping[tuple[str, str], Mapping[str, float]]


def summarise(
    lines: Sequence[Line], run: dict[str, Any] | None = None, before: Before | None = None
) -> dict[str, Any]:
    """Returns the summary of an evaluation as plain JSON types, from the lines alone.

    `run` is the content of `run.json`, which gives the order of the methods and the control.
    Scores, differences and rates are shares (0..1), p two-sided, tokens and seconds means per
    answer. Each method is compared with the first method of its model. `before` are the methods'
    scores without the lecture, for VideoMMMU's knowledge gain. Raises UserError for two answers of
    one question, method and seed.
    """
    check_unique(lines)
    names = Run(list(lines), run or {}).method_names()
    groups = {name: [line for line in lines if line.method == name] for name in names}
    firsts = {lines[0].model: name for name, lines in reversed(groups.items())}
    against = {name: firsts[group[0].model] for name, group in groups.items()}
    known = before or {}
    methods = {name: _method(group, known.get(origin(group[0]))) for name, group in groups.items()}
    for name, first in against.items():
        if first != name:
            methods[name] |= {"against": first} | _differences(groups[first], groups[name])
    equal = equal_tokens(groups, against)
    for family in _families(methods, equal):
        _adjust(family)
    summary = {
        "benchmark": lines[0].benchmark if lines else None,
        "control": (run or {}).get("control", NONE),
        "models": list(dict.fromkeys(line.model for line in lines)),
        "questions": len({line.id for line in lines}),
        "clips": len({clip_of(line) for line in lines}),
        "methods": methods,
        "equal_tokens": equal,
        "bootstrap": {
            "resamples": intervals.RESAMPLES, "level": intervals.LEVEL, "key": intervals.KEY,
        },
        "power": {"power": power.POWER, "difference": power.PAPER_GAIN, "margin": power.MARGIN},
    }  # fmt: skip
    return to_plain(summary)


def scores_before(run: Run) -> Before:
    """Returns the scores of a run in the form of `summarise`'s `before`."""
    groups = aggregate.grouped(run.lines, origin)
    return {key: question_scores(lines) for key, lines in groups.items()}


def write_summary(folder: str | Path) -> dict[str, Any]:
    """Writes `summary.json` into the folder of a run, from its lines, and returns it."""
    run = read_run(folder)
    summary = summarise(run.lines, run.facts)
    write_json(Path(folder) / "summary.json", summary)
    return summary


def _method(lines: list[Line], before: Mapping[str, float] | None) -> dict[str, Any]:
    """Returns the figures of one method that need no other method."""
    statuses = {status: sum(line.status == status for line in lines) for status in STATUSES}
    tasks, subsets = aggregate.by_task(lines), aggregate.by_subset(lines)
    seen = [line for line in lines if not line.bad_video]
    return {
        "model": lines[0].model,
        "questions": len({line.id for line in lines}),
        "answers": len(lines),
        "seeds": sorted({line.seed for line in lines}),
        **_scores(lines),
        "lenient": _scores(lines, lambda line: line.score_lenient),
        "without_bad_videos": _scores(seen),
        "macro_tasks": aggregate.macro_tasks(lines),
        "macro_subsets": aggregate.macro_subsets(lines),
        "official": aggregate.official(lines, before),
        # A question that was never put has no tokens and no seconds to average.
        "tokens": _mean(line.tokens for line in seen),
        "seconds": _seconds(seen),
        "statuses": statuses,
        "no_answer_rate": statuses["no_answer"] / len(lines),
        "truncated_rate": statuses["truncated"] / len(lines),
        "entropy": _per_token(seen),
        # Against the first method, over the answers that were compared with its own.
        **{key: _mean_of(seen, key) for key in CHANGES},
        "tasks": {
            name: _scores(group) | {"constant": constant_accuracy(group)}
            for name, group in tasks.items()
        },
        "levels": {name: _scores(group) for name, group in aggregate.by_level(lines).items()},
        "subsets": {name: _scores(group) for name, group in subsets.items()},
    }


def _scores(lines: list[Line], value: Value = strict) -> dict[str, Any]:
    """Returns the score of all rows, accuracy of right-or-wrong rows, MRA of regression rows."""
    return {
        "score": describe(lines, value),
        "accuracy": describe(_kind(lines, regression=False), value),
        "mra": describe(_kind(lines, regression=True), value),
    }


def _differences(first: list[Line], other: list[Line]) -> dict[str, Any]:
    """Returns paired differences to the first method: the authors' figure, all rows, parts."""
    by_kind = {
        f"difference_{key}": compare(_kind(first, regression), _kind(other, regression))
        for key, regression in (("accuracy", False), ("mra", True))
    }
    mine, theirs = aggregate.by_task(other), aggregate.by_task(first)
    return {
        "difference": compare(first, other),
        "difference_official": aggregate.official_difference(first, other),
        **by_kind,
        "difference_tasks": {n: compare(theirs.get(n, []), lines) for n, lines in mine.items()},
    }


def _families(methods: dict[str, Any], equal: dict[str, Any] | None) -> list[list[dict[str, Any]]]:
    """Returns the differences that are tested together: of all methods in one figure, by tasks."""
    compared = [m for m in methods.values() if "against" in m]
    names = dict.fromkeys(name for m in compared for name in m["difference_official"])
    families = [[m["difference_official"].get(name) for m in compared] for name in names]
    families += [
        [m[key] for m in compared]
        for key in ("difference", "difference_accuracy", "difference_mra")
    ]
    families.append([row for m in compared for row in m["difference_tasks"].values()])
    budgets = [at["methods"].values() for at in (equal or {"budgets": []})["budgets"]]
    families.append([m.get("difference") for at in budgets for m in at])
    return [[row for row in family if row] for family in families]


def _adjust(family: list[dict[str, Any]]) -> None:
    """Adds to each difference of a family its adjusted p and the family's size."""
    adjusted = significance.holm(np.array([row["p"] for row in family]))
    for row, p in zip(family, adjusted, strict=True):
        row |= {"p_holm": float(p), "family": len(family)}


def _kind(lines: list[Line], regression: bool) -> list[Line]:
    return [line for line in lines if line.regression == regression]


def _per_token(lines: list[Line]) -> float:
    """Returns the mean entropy over all tokens of all answers; longer answers weigh more."""
    sums = [(li.entropy * li.tokens, li.tokens) for li in lines if li.entropy is not None]
    entropy, tokens = np.sum(sums, axis=0) if sums else (0.0, 0)
    return entropy / tokens if tokens else np.nan


def _mean_of(lines: list[Line], key: str) -> float:
    return _mean(value for line in lines if (value := getattr(line, key)) is not None)


def _seconds(lines: list[Line]) -> dict[str, float]:
    stages = dict.fromkeys(stage for line in lines for stage in line.seconds)
    means = {stage: _mean(line.seconds.get(stage, 0.0) for line in lines) for stage in stages}
    return means | {"total": sum(means.values())}


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else np.nan
