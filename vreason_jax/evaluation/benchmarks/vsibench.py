"""VSI-Bench (nyu-visionx/VSI-Bench): filmed rooms, ten question types that make eight tasks.

`test.jsonl`, or `test-*.parquet`; videos at <dataset>/<scene_name>.mp4, as its zips unpack.
"""

from typing import Any

from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Groups, Layout, Source
from vreason_jax.evaluation.benchmarks.options import choices
from vreason_jax.evaluation.benchmarks.record import CHOICE, REGRESSION, Record
from vreason_jax.evaluation.benchmarks.rows import Row

NUMERIC = (
    "object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation",
)  # fmt: skip
DIRECTIONS = (
    "object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard",
)  # fmt: skip
LETTERED = ("object_rel_distance", *DIRECTIONS, "route_planning", "obj_appearance_order")
DIRECTION = "object_rel_direction"  # the task that the three levels make


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of an official row; raises BrokenRowError."""
    del label
    fields = row.fields()
    task = fields_lib.one_of(fields, "question_type", NUMERIC + LETTERED, "one of VSI-Bench's")
    options: tuple[str, ...] = ()
    if task in LETTERED:
        options, gold = choices(fields.get("options"), fields.get("ground_truth"))
    else:
        gold = fields_lib.number_text(fields.get("ground_truth"))
    dataset = fields_lib.text(fields, "dataset")
    video = f"{dataset}/{fields_lib.native_id(fields, 'scene_name')}.mp4"
    return [
        Record(
            id=fields_lib.native_id(fields, "id"),
            benchmark="vsibench",
            video=fields_lib.below_the_folder(video, "scene_name"),
            problem=fields_lib.text(fields, "question"),
            options=options,
            gold=gold,
            kind=CHOICE if options else REGRESSION,
            task=task,
            subset=dataset,
        )
    ]


def _video_r1_groups(fields: dict[str, Any], video: str) -> Groups:
    folders = video.split("/")[:-1]
    task = fields_lib.optional_text(fields, "original_question_type")
    return Groups(task, folders[-1] if folders else "")


_PATTERNS = (
    "test.jsonl", "test.json", "vsibench.jsonl", "vsibench.json", "*/test.jsonl",
    "test-*.parquet", "test.parquet", "*/test-*.parquet",
)  # fmt: skip
LAYOUT = Layout("vsibench", (Source("", _PATTERNS),), read, _video_r1_groups)
