"""Rows in Video-R1's schema, the same for all benchmarks (its eval_*.json files).

Copies of these files differ in the head of `path` and in extra keys. Start and end times, which
some copies have for MVBench, are left out: Video-R1 evaluates whole videos.
"""

import re
from typing import Any

from vreason_jax.evaluation.readers import fields as fields_lib
from vreason_jax.evaluation.readers.layout import Layout
from vreason_jax.evaluation.readers.rows import BrokenRowError, Row, shown
from vreason_jax.evaluation.record import CHOICE, FREE, KINDS, NUMBER, REGRESSION, Record


def looks_like(value: Any) -> bool:
    """Returns whether a row has this schema's own keys."""
    return isinstance(value, dict) and ("solution" in value or {"problem", "path"} <= value.keys())


def read_row(row: Row, layout: Layout) -> list[Record]:
    """Returns the record of a row; raises BrokenRowError."""
    fields = row.fields()
    kind = _kind(fields)
    options = _options(fields, kind)
    video = fields_lib.below_the_folder(fields_lib.text(fields, "path"))
    groups = layout.video_r1_groups(fields, video)
    return [
        Record(
            id=fields_lib.native_id(fields, "problem_id"),
            benchmark=layout.name,
            video=video,
            problem=fields_lib.text(fields, "problem"),
            options=options,
            gold=_gold(fields, kind, options),
            kind=kind,
            task=groups.task or "all",
            subset=groups.subset,
            folder_fps=layout.folder_fps,
        )
    ]


def _kind(fields: dict[str, Any]) -> str:
    kind = fields_lib.text(fields, "problem_type")
    if kind not in KINDS:
        raise BrokenRowError(
            f"'problem_type': expected one of {', '.join(KINDS)}, got {shown(kind)}"
        )
    media = fields.get("data_type", "video")
    if media != "video":
        raise BrokenRowError(f"'data_type': expected \"video\", got {shown(media)}")
    return kind


def _options(fields: dict[str, Any], kind: str) -> tuple[str, ...]:
    written = fields_lib.texts(fields, "options", needed=False)
    return fields_lib.lettered(written) if kind == CHOICE else ()


def _gold(fields: dict[str, Any], kind: str, options: tuple[str, ...]) -> str:
    solution = fields_lib.text(fields, "solution")
    match = re.search(r"<answer>(.*?)</answer>", solution, re.DOTALL)
    gold = match.group(1).strip() if match else ""
    if not gold:
        raise BrokenRowError(
            f"'solution': expected <answer>...</answer> with an answer in it, got {shown(solution)}"
        )
    if kind in (NUMBER, REGRESSION):
        return fields_lib.number_text(gold)
    if kind == FREE:
        return gold
    # Without options the letters, or yes and no, stand in the question or in the picture.
    if not options and re.fullmatch(r"[A-Z]|yes|no", gold, re.IGNORECASE):
        return gold
    if not re.fullmatch(r"[A-Z]", gold):
        raise BrokenRowError(f"'solution': expected the letter of an option, got {shown(gold)}")
    return fields_lib.gold_letter(gold, options)
