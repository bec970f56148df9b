"""Runs as their folders hold them, finished or not, and the merging of several."""

import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, shown
from vreason_jax.evaluation.results.lines import (
    CHANGES,
    PREDICTIONS,
    Line,
    check_unique,
    read_lines,
)
from vreason_jax.evaluation.results.questions import Words, changed_keys, read_words
from vreason_jax.evaluation.results.run_file import FILE, TRACES, differences, read_facts

_MARK = " · "  # between a model's name and a method's


@dataclasses.dataclass(frozen=True)
class Run:
    """Answers, the content of `run.json`, and the questions by id.

    The last two are {} if the folder has no such file.
    """

    lines: list[Line]
    facts: dict[str, Any]
    questions: dict[str, Words] = dataclasses.field(default_factory=dict)

    def method_names(self) -> list[str]:
        """Returns the methods with answers: as requested, then in the order of the lines."""
        seen = list(dict.fromkeys(line.method for line in self.lines))
        asked = [name for name in self.facts.get("methods", {}) if name in seen]
        return asked + [name for name in seen if name not in asked]

    def folders(self) -> list[Path]:
        """Returns the folders that hold the answers."""
        return list(dict.fromkeys(line.folder for line in self.lines))


def read_run(folder: str | Path) -> Run:
    """Returns the run of a folder; raises UserError for no, empty, broken or repeated lines."""
    folder = Path(folder)
    if _waits(folder):
        raise UserError(f"{folder}: expected at least one answer, the run has none yet")
    if not (folder / PREDICTIONS).is_file():
        raise UserError(
            f"{folder}: expected a folder that `python -m vreason_jax.evaluate` wrote, "
            f"found no {PREDICTIONS} in it"
        )
    lines = read_lines(folder / PREDICTIONS)
    if not lines:
        raise UserError(f"{folder / PREDICTIONS}: expected at least one answer, the file has none")
    check_unique(lines)
    return Run(lines, read_facts(folder), read_words(folder))


def merge_runs(folders: Sequence[str | Path]) -> Run:
    """Returns the runs of several folders as one, of several models or of several hosts.

    If models differ, a method is called "model · method". An answer in two folders counts once. One
    that has no line yet, or never gets one, such as the shard of no clip, adds nothing.
    Raises UserError for two benchmarks, for one model asked in two ways, for two questions under
    one id, for two answers to one question under one name, and for two configurations under one.
    """
    folders = list(distinct(folders).values())
    folders = [folder for folder in folders if not _waits(Path(folder))] or folders
    runs = [read_run(folder) for folder in folders]
    questions = _merge_words(dict(zip(map(str, folders), runs, strict=True)))
    lines = [line for run in runs for line in run.lines]
    _check_one_benchmark(lines)
    _check_alike(runs)
    runs = _compared_alike(runs)
    names = _short_names(lines)
    if len(names) > 1:
        runs = [_relabel(run, names) for run in runs]
    return Run(_union(line for run in runs for line in run.lines), _merge_facts(runs), questions)


def distinct(folders: Iterable[str | Path]) -> dict[str, str | Path]:
    """Returns folders by their absolute paths, so that one that is named twice comes once."""
    return {os.path.abspath(folder): folder for folder in folders}


def _waits(folder: Path) -> bool:
    """Whether a run has begun in a folder, or is about to, and has no line in it."""
    lines, marks = folder / PREDICTIONS, (folder / FILE, folder / TRACES)
    begun = any(mark.exists() for mark in marks)
    return begun and not (lines.is_file() and lines.stat().st_size)


def _check_one_benchmark(lines: list[Line]) -> None:
    found = {line.benchmark: line.folder for line in lines}
    if len(found) > 1:
        (a, first), (b, second) = list(found.items())[:2]
        raise UserError(
            f"{first} and {second}: expected runs of one benchmark, got {shown(a)} and {shown(b)}; "
            "give each its own report"
        )


def origin(line: Line) -> tuple[str, str]:
    """Returns a line's model and its method as `evaluate` named it, whatever was merged."""
    return line.model, line.method.rpartition(_MARK)[2]


def _check_alike(runs: Iterable[Run]) -> None:
    """Raises UserError where a model was asked in two ways: its methods would be compared."""
    firsts: dict[str, tuple[Path, dict[str, Any]]] = {}
    for run in runs:
        common = run.facts.get("identity", {}).get("common", {})
        common = {key: value for key, value in common.items() if key != "compare_logits"}
        folder = run.lines[0].folder
        for model in dict.fromkeys(line.model for line in run.lines) if common else ():
            first, known = firsts.setdefault(model, (folder, common))
            if found := differences(known, common):
                raise UserError(
                    f"{first} and {folder}: expected {model} to be asked alike in both: "
                    f"{'; '.join(found)}; give each its own report"
                )


def _compared_alike(runs: list[Run]) -> list[Run]:
    """Leaves out what lines say against another method than the merged runs' first of a model."""
    firsts: dict[str, str] = {}
    kept = []
    for run in runs:
        own, model = run.method_names()[0], run.lines[0].model
        if firsts.setdefault(model, own) != own:
            none = dict.fromkeys(CHANGES)
            lines = [dataclasses.replace(line, **none) for line in run.lines]
            run = dataclasses.replace(run, lines=lines)
        kept.append(run)
    return kept


def _short_names(lines: Iterable[Line]) -> dict[str, str]:
    """Returns short distinct names: the last part of a model's path or hub id if that suffices."""
    models = list(dict.fromkeys(line.model for line in lines))
    short = [model.rstrip("/").rsplit("/", 1)[-1] for model in models]
    return dict(zip(models, short if len(set(short)) == len(models) else models, strict=True))


def _relabel(run: Run, names: dict[str, str]) -> Run:
    labels = {
        (line.model, line.method): f"{names[line.model]}{_MARK}{line.method}" for line in run.lines
    }
    lines = [
        dataclasses.replace(line, method=labels[line.model, line.method]) for line in run.lines
    ]
    model = run.facts.get("model")
    if model not in names:
        return Run(lines, run.facts)
    by_method = {method: label for (owner, method), label in labels.items() if owner == model}
    return Run(lines, _relabel_facts(run.facts, by_method))


def _relabel_facts(facts: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Renames methods where they are keys: in `methods`, and in the figures of sessions."""

    def rename(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {labels.get(key, key): rename(item) for key, item in value.items()}

    sessions = [
        session | {key: rename(session.get(key)) for key in ("seconds", "controller_share")}
        for session in facts.get("sessions", [])
    ]
    methods = {labels.get(name, name): value for name, value in facts.get("methods", {}).items()}
    return facts | {"methods": methods, "sessions": sessions}


def _union(lines: Iterable[Line]) -> list[Line]:
    kept: dict[tuple, Line] = {}
    hashes: dict[tuple, Line] = {}
    for line in lines:
        twin = hashes.setdefault((line.model, line.method), line)
        if twin.config_hash != line.config_hash:
            raise UserError(
                f"{twin.folder} and {line.folder}: expected {line.method} to mean the same in "
                "both, their configurations differ; give one of them another name"
            )
        other = kept.setdefault(line.key, line)
        if other.bad_video != line.bad_video:  # one machine could read it
            kept[line.key] = line if other.bad_video else other
        elif not other.same_answer(line):
            raise UserError(
                f"{other.folder} and {line.folder}: {shown(line.id)} has two different answers of "
                f"{line.method}, seed {line.seed}; leave one of the folders out"
            )
    return list(kept.values())


def _merge_words(runs: dict[str, Run]) -> dict[str, Words]:
    kept: dict[str, Words] = {}
    owners: dict[str, str] = {}
    for folder, run in runs.items():
        for name, words in run.questions.items():
            first, owner = kept.setdefault(name, words), owners.setdefault(name, folder)
            if changed_keys(first, words):
                raise UserError(
                    f"{owner} and {folder}: {shown(name)} is not the same question in both; "
                    "leave one of the folders out"
                )
    return kept


def _merge_facts(runs: list[Run]) -> dict[str, Any]:
    facts = [run.facts for run in runs if run.facts]
    if not facts:
        return {}
    methods = {name: config for fact in facts for name, config in fact.get("methods", {}).items()}
    joined: dict[str, Any] = {"methods": methods}
    for key in ("benchmark", "split", "control", "protocol", "model", "versions"):
        values = list(dict.fromkeys(str(fact[key]) for fact in facts if key in fact))
        if len(values) == 1:
            joined[key] = next(fact[key] for fact in facts if key in fact)
        elif key != "versions":
            joined[key] = ", ".join(values)
    for key in ("notes", "seeds"):
        joined[key] = list(dict.fromkeys(v for fact in facts for v in fact.get(key, [])))
    joined["sessions"] = [session for fact in facts for session in fact.get("sessions", [])]
    return joined
