"""A run's lines scored by the rule of another protocol, without asking anything again."""

import dataclasses
import json
from pathlib import Path

from vreason_jax.errors import UserError, shown
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.results.lines import PREDICTIONS, Line, fields_of
from vreason_jax.evaluation.results.questions import FILE, Words
from vreason_jax.evaluation.results.runs import Run
from vreason_jax.evaluation.scoring.protocol import Protocol
from vreason_jax.evaluation.scoring.score import score
from vreason_jax.output.files import write_atomic


def rescored(run: Run, protocol: Protocol) -> Run:
    """Returns a run with the scores, answers and statuses that a protocol's rule gives its replies.

    Raises UserError for a line whose question `questions.jsonl` does not hold.
    """
    asked = run.facts.get("protocol", "another protocol")
    note = (
        f"Scored by the rule of {protocol.name}; asked as {asked} says, which the notes speak of."
    )
    facts = run.facts | {"protocol": f"{protocol.name}, asked as {asked}"}
    facts["notes"] = [note, *run.facts.get("notes", [])]
    lines = [_rescored(line, run.questions.get(line.id), protocol) for line in run.lines]
    return Run(lines, facts, run.questions)


def write_lines(folder: Path, lines: list[Line]) -> None:
    """Writes the lines as a `predictions.jsonl`; their traces stay where they are."""
    rows = (fields_of(line) | {"trace": None} for line in lines)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_atomic(folder / PREDICTIONS, lambda file: file.write(text.encode()))


def _rescored(line: Line, words: Words | None, protocol: Protocol) -> Line:
    if line.bad_video:
        return line
    if words is None:
        raise UserError(
            f"--rescore: expected {shown(line.id)} in {line.folder / FILE}, which has the options "
            "that a rule needs; it is not there"
        )
    known = {key: words[key] for key in ("id", "problem", "gold", "kind", "task", "video")}
    record = Record(**known, benchmark=line.benchmark, options=tuple(words["options"]))
    found = score(record, line.text, protocol, truncated=line.status == "truncated")
    spoken = "ok" if found.answered else "no_answer"
    return dataclasses.replace(
        line,
        score=found.score,
        score_lenient=found.score_lenient,
        answer=found.prediction if found.answered else None,
        status=spoken if line.status in ("ok", "no_answer") else line.status,
    )
