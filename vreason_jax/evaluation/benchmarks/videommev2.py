"""Video-MME-v2 (MME-Benchmarks/Video-MME-v2): eight options, four questions on each video.

`test.parquet` with the columns that its authors' evaluation/test_video_mme_v2.py and the task of
lmms-eval 0.7.3 read; videos at videos/<video_id>.mp4. Its subtitles, words by lines, are not read.
"""

from typing import Any

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Layout, Source, groups_by_type
from vreason_jax.evaluation.benchmarks.options import choices
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row

GROUP_TYPES = ("relevance", "logic")


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of an official row; raises BrokenRowError."""
    del label
    fields = row.fields()
    group = fields_lib.one_of(fields, "group_type", GROUP_TYPES, " or ".join(GROUP_TYPES))
    video = fields_lib.native_id(fields, "video_id")
    options, gold = choices(fields.get("options"), fields.get("answer"))
    return [
        Record(
            id=fields_lib.native_id(fields, "question_id"),
            benchmark="videommev2",
            video=fields_lib.below_the_folder(f"videos/{video}.mp4", "video_id"),
            problem=fields_lib.text(fields, "question"),
            options=options,
            gold=gold,
            kind=CHOICE,
            task=group,
            subset=_level(fields.get("level")),
        )
    ]


def _level(value: Any) -> str:
    """Returns the level in words, "" for none: the authors' code expects rows without one."""
    if value is None or value in ("", "None"):
        return ""
    if str(value) not in ("1", "2", "3") or isinstance(value, bool):
        raise BrokenRowError(f"'level': expected 1, 2, 3 or none, got {shown(value)}")
    return f"level {value}"


_PATTERNS = (
    "test.parquet", "test*.parquet", "*/test*.parquet", "test.json", "test.jsonl",
    "videommev2.json*",
)  # fmt: skip
LAYOUT = Layout("videommev2", (Source("", _PATTERNS),), read, groups_by_type)
