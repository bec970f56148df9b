"""`questions.jsonl`: a run's questions, for its report and for detecting changes."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.json_files import parse_json
from vreason_jax.output.files import write_atomic
from vreason_jax.regular_files import read_bytes

FILE = "questions.jsonl"
# What can change an answer or its score, and the task.
KEYS = ("id", "problem", "options", "gold", "kind", "task", "video", "start", "end", "subtitles")

PROMPT = "prompt"  # the user's turn as it was sent, subtitles left out; older files have none

Words = dict[str, Any]  # a question's KEYS, and PROMPT


def words_of(record: Record) -> Words:
    """Returns the kept fields of a record as plain JSON types."""
    return {key: getattr(record, key) for key in KEYS} | {"options": list(record.options)}


def read_words(folder: str | Path) -> dict[str, Words]:
    """Returns the questions of a run's folder by id, or {}.

    Raises UserError for a file that this program has not written.
    """
    path = Path(folder) / FILE
    try:
        rows = read_bytes(path).splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = one_line(error.strerror or error)
        raise UserError(f"{path}: expected a readable file: {reason}") from None
    words = [_parse(row, path, number) for number, row in enumerate(rows, 1)]
    return {row["id"]: row for row in words}


def keep_words(
    folder: Path,
    records: Sequence[Record],
    answered: Collection[str],
    prompt: Callable[[Record], str] | None = None,
) -> None:
    """Adds the questions of a run that begins, and how it asks them, to those of a folder.

    Raises UserError and writes nothing if an id in `answered` now belongs to another question.
    """
    old = read_words(folder)
    new = {record.id: words_of(record) for record in records}
    for name in sorted(old.keys() & new.keys() & set(answered)):
        changed = [key for key in KEYS if old[name][key] != new[name][key]]
        if changed:
            raise UserError(
                f"--out: question {shown(name)} has answers there and has changed since "
                f"({', '.join(changed)}); give the same annotation again, or another folder"
            )
    if prompt is not None:
        new = {record.id: new[record.id] | {PROMPT: prompt(record)} for record in records}
    rows = {**old, **new}.values()
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    write_atomic(folder / FILE, lambda file: file.write(data))


def _parse(row: bytes, path: Path, number: int) -> Words:
    try:
        value = parse_json(row)
    except ValueError:
        value = None
    if not isinstance(value, Mapping) or not _is_question(value):
        raise UserError(f"{path}:{number}: expected a question with {', '.join(KEYS)}, got another")
    return dict(value)


def _is_question(value: Mapping[str, Any]) -> bool:
    if not set(KEYS) <= value.keys() or not isinstance(value["options"], list):
        return False
    texts = [value["id"], value["problem"], value.get(PROMPT, ""), *value["options"]]
    return all(isinstance(text, str) for text in texts)
