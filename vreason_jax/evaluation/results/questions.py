"""`questions.jsonl`: a run's questions, for its report and for detecting changes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, reason_of, shown
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.results.line_file import parse_lines
from vreason_jax.output.files import write_json_lines
from vreason_jax.regular_files import read_bytes

FILE = "questions.jsonl"
# What can change an answer or its score, and the task.
KEYS = ("id", "problem", "options", "gold", "kind", "task", "video", "start", "end", "subtitles")

PROMPT = "prompt"  # the user's turn as it was sent, subtitles left out; older files have none
ASKED = "asked"  # the seeds by method that the question was ever asked with

Words = dict[str, Any]  # a question's KEYS, PROMPT and ASKED
Asked = Mapping[str, Mapping[str, Collection[int]]]  # seeds by question and method


def words_of(record: Record) -> Words:
    """Returns the kept fields of a record as plain JSON types."""
    return {key: getattr(record, key) for key in KEYS} | {"options": list(record.options)}


def changed_keys(old: Words, new: Words) -> list[str]:
    """Returns in what two questions of one id differ."""
    return [key for key in KEYS if old[key] != new[key]]


def read_words(folder: str | Path) -> dict[str, Words]:
    """Returns the questions of a run's folder by id, or {}.

    Raises UserError for a file that this program has not written.
    """
    path = Path(folder) / FILE
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: expected a readable file: {reason_of(error)}") from None
    return {row["id"]: row for row in parse_lines(data, path, _parse)}


def keep_words(
    folder: Path,
    records: Sequence[Record],
    answered: Collection[str],
    prompt: Callable[[Record], str] | None = None,
    asked: Asked | None = None,
) -> None:
    """Adds the questions of a run that begins, and how it asks them, to those of a folder.

    Raises UserError and writes nothing if an id in `answered` now belongs to another question.
    """
    old = read_words(folder)
    new = {record.id: words_of(record) for record in records}
    for name in sorted(old.keys() & new.keys() & set(answered)):
        if changed := changed_keys(old[name], new[name]):
            raise UserError(
                f"--out: question {shown(name)} has answers there and has changed since "
                f"({', '.join(changed)}); give the same annotation again, or another folder"
            )
    if prompt is not None:
        new = {record.id: new[record.id] | {PROMPT: prompt(record)} for record in records}
    rows = {**old, **new}
    for name, row in rows.items():
        row[ASKED] = _joined(old.get(name, {}).get(ASKED, {}), (asked or {}).get(name, {}))
    write_json_lines(folder / FILE, rows.values())


def _joined(old: Mapping[str, Any], new: Mapping[str, Collection[int]]) -> dict[str, list[int]]:
    methods = dict.fromkeys([*old, *new])
    return {name: sorted({*old.get(name, ()), *new.get(name, ())}) for name in methods}


def _parse(value: dict[str, Any], path: Path, number: int) -> Words:
    if not _is_question(value):
        raise UserError(f"{path}:{number}: expected a question with {', '.join(KEYS)}, got another")
    return value


def _is_question(value: Mapping[str, Any]) -> bool:
    if not set(KEYS) <= value.keys() or not isinstance(value["options"], list):
        return False
    asked = value.get(ASKED, {})
    if not isinstance(asked, dict) or not all(isinstance(s, list) for s in asked.values()):
        return False
    texts = [value["id"], value["problem"], value.get(PROMPT, ""), *value["options"]]
    return all(isinstance(text, str) for text in texts)
