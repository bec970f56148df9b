"""A run's lines scored by the rule of another protocol, without asking anything again."""

import dataclasses
from pathlib import Path

from vreason_jax.errors import UserError, shown
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.results import run_file
from vreason_jax.evaluation.results.lines import PREDICTIONS, Line, fields_of
from vreason_jax.evaluation.results.questions import FILE, Words
from vreason_jax.evaluation.results.run_file import read_facts
from vreason_jax.evaluation.results.runs import Run
from vreason_jax.evaluation.scoring.protocol import Protocol
from vreason_jax.evaluation.scoring.score import score
from vreason_jax.output.files import make_folder, write_json_lines
from vreason_jax.output.trace import to_plain

RULE = "scored_by"  # the protocol, among what all lines have in common


def rescored(run: Run, protocol: Protocol) -> Run:
    """Returns a run with the scores, answers and statuses that a protocol's rule gives its replies.

    Lines of questions that the protocol does not ask are left out. Raises UserError where none is
    left, and for a line whose question `questions.jsonl` does not hold.
    """
    asked = run.facts.get("protocol", "another protocol")
    note = (
        f"Scored by the rule of {protocol.name}; asked as {asked} says, which the notes speak of."
    )
    lines = [new for li in run.lines if (new := _rescored(li, run.questions.get(li.id), protocol))]
    if not lines:
        raise UserError(f"--rescore: {protocol.name} asks none of these questions")
    left_out = len({line.id for line in run.lines}) - len({line.id for line in lines})
    notes = [f"{left_out} questions that {protocol.name} does not ask are left out."]
    identity = run.facts.get("identity", {})
    facts = run.facts | {
        "protocol": f"{protocol.name}, asked as {asked}",
        "notes": [note, *(notes if left_out else []), *run.facts.get("notes", [])],
        "identity": {**identity, "common": identity.get("common", {}) | {RULE: protocol.name}},
    }
    return Run(lines, facts, run.questions)


def check_place(folder: Path, protocol: Protocol) -> None:
    """Raises UserError where a folder holds other answers than those of an earlier rescoring."""
    facts = read_facts(folder)
    rule = facts.get("identity", {}).get("common", {}).get(RULE)
    if ((folder / PREDICTIONS).exists() or facts) and rule != protocol.name:
        raise UserError(f"--out: expected a folder for other scores, {folder} holds a run")


def write_scored(folder: Path, run: Run) -> None:
    """Writes a rescored run as `evaluate` writes one; its traces stay where they are."""
    make_folder(folder, "--out")
    files = {
        PREDICTIONS: [fields_of(line) | {"trace": None} for line in run.lines],
        FILE: list(run.questions.values()),
        run_file.FILE: [run.facts],
    }
    for name, rows in files.items():
        write_json_lines(folder / name, map(to_plain, rows))


def _rescored(line: Line, words: Words | None, protocol: Protocol) -> Line | None:
    if words is None:
        raise UserError(
            f"--rescore: expected {shown(line.id)} in {line.folder / FILE}, which has the options "
            "that a rule needs; it is not there"
        )
    known = {key: words[key] for key in ("id", "problem", "gold", "kind", "task", "video")}
    record = Record(**known, benchmark=line.benchmark, options=tuple(words["options"]))
    config_hash = f"{line.config_hash}+{protocol.name}"  # so that nothing takes them for the others
    if not protocol.select((record,)):
        return None
    if line.bad_video:
        return dataclasses.replace(line, config_hash=config_hash)
    found = score(record, line.text, protocol, truncated=line.status == "truncated")
    spoken = "ok" if found.answered else "no_answer"
    return dataclasses.replace(
        line,
        config_hash=config_hash,
        score=found.score,
        score_lenient=found.score_lenient,
        answer=found.prediction if found.answered else None,
        status=spoken if line.status in ("ok", "no_answer") else line.status,
    )
