"""Video-MME (lmms-lab/Video-MME): four options, three lengths of video, subtitles for most.

Rows with `videoID` (Parquet or lines), or one entry per video with its `questions`; videos at
data/<videoID>.mp4, subtitles at subtitle/<videoID>.srt.
"""

import functools
from pathlib import PurePosixPath
from typing import Any

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Layout, Source, groups_by_type
from vreason_jax.evaluation.benchmarks.options import choices
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row

LENGTHS = ("short", "medium", "long")


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of a row, or the records of a video's entry; raises BrokenRowError."""
    del label
    fields = row.fields()
    if "questions" not in fields:
        return [_record(fields)]
    questions = fields["questions"]
    if not isinstance(questions, list) or not all(isinstance(q, dict) for q in questions):
        raise BrokenRowError(f"'questions': expected a list of objects, got {shown(questions)}")
    return [_record(fields | question) for question in questions]


def _record(fields: dict[str, Any]) -> Record:
    length = fields_lib.one_of(fields, "duration", LENGTHS, "short, medium or long")
    video = _video_id(fields)
    options, gold = choices(fields.get("options"), fields.get("answer"))
    return Record(
        id=fields_lib.native_id(fields, "question_id"),
        benchmark="videomme",
        video=fields_lib.below_the_folder(f"data/{video}.mp4", "videoID"),
        problem=fields_lib.text(fields, "question"),
        options=options,
        gold=gold,
        kind=CHOICE,
        task=fields_lib.text(fields, "task_type"),
        subset=length,
    )


def _video_id(fields: dict[str, Any]) -> str:
    if "videoID" in fields:
        return fields_lib.text(fields, "videoID")
    url = fields_lib.optional_text(fields, "url")
    return fields_lib.address_value(url, "v", "url") or fields_lib.native_id(fields, "video_id")


def subtitles_of(video: str) -> str:
    """Returns where a video's subtitles would lie: "data/x.mp4" -> "subtitle/x.srt"."""
    return f"subtitle/{PurePosixPath(video).stem}.srt"


_PATTERNS = (
    "videomme.json", "videomme.jsonl", "test.json", "test.jsonl", "video-mme*.json*",
    "videomme/*.json*", "*template*.json", "videomme/*.parquet", "test*.parquet",
)  # fmt: skip
_GROUPS = functools.partial(groups_by_type, subset="duration")
LAYOUT = Layout("videomme", (Source("", _PATTERNS),), read, _GROUPS)
