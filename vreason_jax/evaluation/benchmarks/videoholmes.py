"""Video-Holmes (TencentARC/Video-Holmes): suspense films, seven question types, six options.

`test_Video-Holmes.json` as its authors' evaluate.py reads it, with rows as in their
Pipeline/example_questions; videos at videos/<video ID>.mp4, or in another folder below the data.
"""

from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Layout, Source, groups_by_type
from vreason_jax.evaluation.benchmarks.options import choices
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.benchmarks.rows import Row

TYPES = ("SR", "IMC", "TCI", "TA", "MHR", "PAR", "CTI")


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of an official row; raises BrokenRowError."""
    del label
    fields = row.fields()
    task = fields_lib.one_of(fields, "Question Type", TYPES, ", ".join(TYPES))
    video = fields_lib.native_id(fields, "video ID")
    options, gold = choices(fields.get("Options"), fields.get("Answer"), "Options")
    return [
        Record(
            id=f"{video}/{fields_lib.native_id(fields, 'Question ID')}",  # counted in each video
            benchmark="videoholmes",
            video=fields_lib.below_the_folder(f"videos/{video}.mp4", "video ID"),
            problem=fields_lib.text(fields, "Question"),
            options=options,
            gold=gold,
            kind=CHOICE,
            task=task,
        )
    ]


_PATTERNS = (
    "test_video-holmes.json", "*/test_video-holmes.json", "videoholmes.json", "test*.json*",
)  # fmt: skip
LAYOUT = Layout("videoholmes", (Source("", _PATTERNS),), read, groups_by_type)
