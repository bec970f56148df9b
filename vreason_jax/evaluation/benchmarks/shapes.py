"""`shapes`, the embedded benchmark: a split by index, drawn as it is asked for, or its files."""

from typing import Any

import numpy as np

from vreason_jax.errors import UserError, shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Groups, Layout
from vreason_jax.evaluation.benchmarks.record import CHOICE, NUMBER, Record
from vreason_jax.shapes import sample, sample_text
from vreason_jax.shapes.render import backdrop
from vreason_jax.shapes.sample import SPLIT_SIZE

NAME = "shapes"
TEST, VALIDATION = "test", "validation"
DEFAULT_COUNT = 1200  # 50 of each of the eight kinds on each of the three levels


def read_shapes(limit: int | None = None, split: str = TEST) -> tuple[Record, ...]:
    """Returns the first questions of a split, `limit` or 1200; the kinds take turns.

    Raises UserError for more questions than the split has.
    """
    count, most = DEFAULT_COUNT if limit is None else limit, SPLIT_SIZE[split]
    if count > most:
        raise UserError(f"--limit: expected at most the {most} questions of {NAME}, got {count}")
    return tuple(_record(split, index) for index in range(count))


def is_drawn(record: Record) -> bool:
    """Returns whether a record's clip is drawn, and no file."""
    return record.benchmark == NAME and not record.video.endswith(".mp4")


def clip_of(record: Record, *, blank: bool = False) -> tuple[np.ndarray, float]:
    """Returns the frames uint8 [F, 84, 112, 3] of a record of `shapes`, and their rate.

    `blank`: of the scene's backdrop alone, without the things in it.

    Raises UserError for a video that is no name of a sample ("test-000012-count-2").
    """
    try:
        split, index, kind, level = record.video.split("-")
        made = sample(split, int(index), kind, int(level))
    except ValueError:
        raise UserError(
            f"shapes: expected the name of a sample, such as test-000012-count-2, "
            f"got {shown(record.video)}"
        ) from None
    if blank:
        return np.tile(backdrop(made.scene.background), (len(made.frames), 1, 1, 1)), made.fps
    return made.frames, made.fps


def _record(split: str, index: int) -> Record:
    text = sample_text(split, index)
    return Record(
        id=text.name,
        benchmark=NAME,
        video=text.name,
        problem=text.problem,
        options=text.options,
        gold=text.answer,
        kind=CHOICE if text.options else NUMBER,
        task=text.kind,
        subset=f"level {text.level}",
    )


def _video_r1_groups(fields: dict[str, Any], video: str) -> Groups:
    del video
    kind = fields_lib.optional_text(fields, "original_question_type")
    return Groups(kind, f"level {fields.get('level')}")


# What `vreason_jax.shapes` exports: it has no schema beside Video-R1's.
LAYOUT = Layout(NAME, sources=(), read=lambda row, label: [], video_r1_groups=_video_r1_groups)
