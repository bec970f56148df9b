"""VideoMMMU (lmms-lab/VideoMMMU): lectures, asked on three tracks; 300 questions on each.

A file per track: {"Adaptation": {"13": {...}}}, or rows as a list, as lines or as Parquet, in a
folder of the track's name or in a file that has it in its name. Native ids repeat between tracks.
An Adaptation question speaks of a picture, which its video shows in the last frame.
"""

import re
from pathlib import PurePosixPath
from typing import Any

from vreason_jax.errors import shown
from vreason_jax.evaluation.benchmarks import fields as fields_lib
from vreason_jax.evaluation.benchmarks.layout import Groups, Layout, Source, in_any_format
from vreason_jax.evaluation.benchmarks.options import choices, texts_of
from vreason_jax.evaluation.benchmarks.record import CHOICE, NUMBER, Record
from vreason_jax.evaluation.benchmarks.rows import BrokenRowError, Row

TRACKS = ("Perception", "Comprehension", "Adaptation")
WITH_PICTURE = "Adaptation"
UNKNOWN_TRACK = "all tracks"

DISCIPLINES = {
    "Art": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy", "Public_Health",
    ),
    "Humanities": ("History", "Literature", "Psychology", "Sociology"),
    "Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics",
        "Energy_and_Power", "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip


def read(row: Row, label: str) -> list[Record]:
    """Returns the record of an official row of the track `label`; raises BrokenRowError."""
    fields = row.fields()
    track = row.keys[0] if row.keys[0] in TRACKS else label
    native = fields_lib.native_id(fields, "id")
    answer = fields_lib.text(fields, "answer").strip()
    options, gold = (), answer
    if texts_of(fields.get("options"), "options"):
        options, gold = choices(fields["options"], answer)
    # Two open questions have letters that stand in the picture alone.
    is_letter = bool(options) or re.fullmatch("[A-Z]", answer) is not None
    if not options and is_letter and fields.get("question_type") != "open":
        raise BrokenRowError(
            f"'options': expected a list of texts, got {shown(fields.get('options'))}"
        )
    return [
        Record(
            id=f"{track}/{native}",
            benchmark="videommmu",
            # The zips unpack by discipline; a name alone is found in any folder.
            video=fields_lib.below_the_folder(f"{native}.mp4", "id"),
            problem=fields_lib.text(fields, "question"),
            options=options,
            gold=gold if options else _open_gold(answer),
            kind=CHOICE if is_letter else NUMBER,
            task=track,
            subset=discipline_of(native),
            picture_in_last_frame=track == WITH_PICTURE,
        )
    ]


def discipline_of(name: str) -> str:
    """Returns the discipline that a video's name tells: "validation_Music_9" -> "Art"."""
    match = re.fullmatch(r"[a-z]+_(.+)_\d+", name)
    subject = match.group(1) if match else ""
    return next((d for d, subjects in DISCIPLINES.items() if subject in subjects), "")


def gold_numbers(gold: str) -> list[str]:
    """Returns the values that count as right: one gold is a list, written as a text."""
    return re.findall(r"'([^'\]]+)'?", gold) if gold.startswith("[") else [gold]


def _open_gold(answer: str) -> str:
    if re.fullmatch("[A-Z]", answer) or answer.startswith("["):
        return answer
    return fields_lib.number_text(answer)


def _video_r1_groups(fields: dict[str, Any], video: str) -> Groups:
    # Video-R1's rows do not name the track, and some questions of two tracks look alike.
    track = fields_lib.optional_text(fields, "track")
    return Groups(track or UNKNOWN_TRACK, discipline_of(PurePosixPath(video).stem))


def _patterns(track: str) -> tuple[str, ...]:
    return in_any_format(f"{track}/*", f"*{track}*", f"*/*{track}*")


LAYOUT = Layout(
    "videommmu",
    tuple(Source(track, _patterns(track.lower())) for track in TRACKS),
    read,
    _video_r1_groups,
    object_depth=2,
)
