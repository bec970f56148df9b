"""Questions without a video: JSON lines with question, options and answer.

A line is {"id": "7", "question": "...", "options": ["red", "blue"], "answer": "B", "task": "..."}.
Options may be lettered or not, as `options.choices` reads them. Without `options` the answer is a
number; `id` is else the line's number (of several files with the file's name before it), and `task`
may be left out.
"""

from typing import Any

from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Groups, Layout, Source
from vreason_jax.evaluation.benchmarks.options import choices
from vreason_jax.evaluation.benchmarks.record import CHOICE, NUMBER, Record
from vreason_jax.evaluation.benchmarks.rows import Row

NAME = "text"


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of a line; raises BrokenRowError."""
    fields = row.fields()
    options: tuple[str, ...] = ()
    if not fields.get("options"):
        gold = fields_lib.number_text(fields.get("answer"))
    else:
        options, gold = choices(fields["options"], fields.get("answer"))
    return [
        Record(
            id=_name(fields, label, row),
            benchmark=NAME,
            video="",
            problem=fields_lib.text(fields, "question"),
            options=options,
            gold=gold,
            kind=CHOICE if options else NUMBER,
            task=fields_lib.optional_text(fields, "task") or NAME,
        )
    ]


def _name(fields: dict[str, Any], label: str, row: Row) -> str:
    """Returns the id; of a line without one its number, behind its file's name among several."""
    if fields.get("id") is not None:
        return fields_lib.native_id(fields, "id")
    return "/".join([label, *row.keys] if label else row.keys)


LAYOUT = Layout(
    NAME, (Source("", ("text.jsonl", "*.jsonl")),), read, lambda fields, video: Groups(NAME)
)
