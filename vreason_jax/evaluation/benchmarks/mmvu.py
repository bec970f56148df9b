"""MMVU (yale-nlp/MMVU): expert questions in 27 subjects, 625 with five options and 375 open.

`validation.json`, whose videos are addresses that end in videos/<Subject>/<n>.mp4.
"""

import re
from pathlib import PurePosixPath
from typing import Any

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Groups, Layout, Source
from vreason_jax.evaluation.benchmarks.options import choices
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row

FORMS = ("multiple-choice", "open-ended")
DISCIPLINES = {
    "Science": (
        "Astronomy", "Biology", "Chemistry", "Electromagnetism", "Geography", "Mechanics",
        "Modern Physics", "Neurobiology", "Thermodynamics",
    ),
    "Healthcare": (
        "Basic Medicine", "Clinical Medicine", "Dentistry", "Pharmacy", "Preventive Medicine",
    ),
    "Humanities & Social Sciences": (
        "Art", "Economics", "History", "Law", "Literature", "Management",
    ),
    "Engineering": (
        "Biomedical Engineering", "Civil Engineering", "Computer Science",
        "Electrical Engineering", "Electronics and Communication", "Materials Science",
        "Mechanical Engineering",
    ),
}  # fmt: skip


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of an official row; raises BrokenRowError."""
    del label
    fields = row.fields()
    form = fields_lib.one_of(fields, "question_type", FORMS, " or ".join(FORMS))
    answer = fields_lib.text(fields, "answer").strip()
    options, gold = ((), answer) if form == "open-ended" else _options(fields, answer)
    subject = _subject(fields)
    return [
        Record(
            id=fields_lib.native_id(fields, "id"),
            benchmark="mmvu",
            video=_video(fields_lib.text(fields, "video")),
            problem=fields_lib.text(fields, "question"),
            options=options,
            gold=gold,
            kind=CHOICE if options else FREE,
            task=subject,
            subset=discipline_of(subject),
        )
    ]


def discipline_of(subject: str) -> str:
    """Returns one of MMVU's four disciplines, "" for a subject that it does not have."""
    return next((d for d, subjects in DISCIPLINES.items() if subject in subjects), "")


def _options(fields: dict[str, Any], answer: str) -> tuple[tuple[str, ...], str]:
    written = fields.get("choices")
    if not isinstance(written, dict) or not all(re.fullmatch("[A-Z]", name) for name in written):
        raise BrokenRowError(f"'choices': expected texts by letter, got {shown(written)}")
    return choices({name: fields_lib.text(written, name) for name in written}, answer, "choices")


def _subject(fields: dict[str, Any]) -> str:
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict):
        raise BrokenRowError(f"'metadata': expected an object, got {shown(metadata)}")
    return fields_lib.text(metadata, "subject")


def _video(address: str) -> str:
    path = fields_lib.address_path(address, "video")
    _, mark, tail = path.rpartition("/videos/")
    return fields_lib.below_the_folder(f"videos/{tail}" if mark else path, "video")


def _video_r1_groups(fields: dict[str, Any], video: str) -> Groups:
    del fields
    subject = PurePosixPath(video).parent.name.replace("_", " ")
    return Groups(subject, discipline_of(subject))


_PATTERNS = (
    "validation.json", "*/validation.json", "mmvu.json", "validation.jsonl", "*.parquet",
)  # fmt: skip
LAYOUT = Layout("mmvu", (Source("", _PATTERNS),), read, _video_r1_groups)
