"""Rows in Video-R1's schema, the same for all benchmarks (its eval_*.json files).

Copies of these files differ in the head of `path` and in extra keys. Some name the part of a video
that is meant, for MVBench, in `start` and `end`.
"""

import re
from typing import Any

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Layout
from vreason_jax.evaluation.benchmarks.options import choices, texts_of
from vreason_jax.evaluation.benchmarks.record import FREE, KINDS, NUMBER, REGRESSION, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row
from vreason_jax.output.answer import extract_answer


def looks_like(value: Any) -> bool:
    """Returns whether a row has this schema's own keys."""
    return isinstance(value, dict) and ("solution" in value or {"problem", "path"} <= value.keys())


def read_row(row: Row, layout: Layout) -> list[Record]:
    """Returns the record of a row; raises BrokenRowError."""
    fields = row.fields()
    kind = _kind(fields)
    options, gold = _options_and_gold(fields, kind)
    video = fields_lib.below_the_folder(fields_lib.text(fields, "path"))
    groups = layout.video_r1_groups(fields, video)
    start, end = fields_lib.times(fields)
    return [
        Record(
            id=fields_lib.native_id(fields, "problem_id"),
            benchmark=layout.name,
            video=video,
            problem=fields_lib.text(fields, "problem"),
            options=options,
            gold=gold,
            kind=kind,
            task=groups.task or "all",
            subset=groups.subset,
            start=start,
            end=end,
            folder_fps=layout.folder_fps,
        )
    ]


def _kind(fields: dict[str, Any]) -> str:
    kind = fields_lib.one_of(fields, "problem_type", KINDS, f"one of {', '.join(KINDS)}")
    media = fields.get("data_type", "video")
    if media != "video":
        raise BrokenRowError(f"'data_type': expected \"video\", got {shown(media)}")
    return kind


def _options_and_gold(fields: dict[str, Any], kind: str) -> tuple[tuple[str, ...], str]:
    gold = _gold(fields)
    written = texts_of(fields.get("options"), "options")
    if kind in (NUMBER, REGRESSION):
        return (), fields_lib.number_text(gold)
    if kind == FREE:
        return (), gold
    if written:
        return choices(fields["options"], gold)
    # Without options the letters, or yes and no, stand in the question or in the picture.
    if not re.fullmatch(r"[A-Z]|yes|no", gold, re.IGNORECASE):
        raise BrokenRowError(f"'solution': expected the letter of an option, got {shown(gold)}")
    return (), gold


def _gold(fields: dict[str, Any]) -> str:
    solution = fields_lib.text(fields, "solution")
    gold = extract_answer(solution) or ""
    if not gold:
        raise BrokenRowError(
            f"'solution': expected <answer>...</answer> with an answer in it, got {shown(solution)}"
        )
    return gold
