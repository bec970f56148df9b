"""`shapes`, the embedded benchmark: the test split by index, without files."""

import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.evaluation.record import CHOICE, NUMBER, Record
from vreason_jax.shapes import sample, sample_text

NAME = "shapes"
SPLIT = "test"
DEFAULT_COUNT = 1200  # 50 of each of the eight kinds on each of the three levels


def read_shapes(limit: int | None = None) -> tuple[Record, ...]:
    """Returns the first questions of the test split, `limit` or 1200; the kinds take turns."""
    return tuple(_record(index) for index in range(DEFAULT_COUNT if limit is None else limit))


def clip_of(record: Record) -> tuple[np.ndarray, float]:
    """Returns the frames uint8 [F, 84, 112, 3] of a record of `shapes`, and their rate.

    Raises UserError for a video that is no name of a sample ("test-000012-count-2").
    """
    try:
        split, index, kind, level = record.video.split("-")
        made = sample(split, int(index), kind, int(level))
    except ValueError:
        raise UserError(
            f"shapes: expected the name of a sample, such as test-000012-count-2, "
            f"got {record.video!r}"
        ) from None
    return made.frames, made.fps


def _record(index: int) -> Record:
    text = sample_text(SPLIT, index)
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
