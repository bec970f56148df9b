"""What a benchmark's own layout says of itself; each reader module ends in one of these."""

import dataclasses
from collections.abc import Callable
from typing import Any

from vreason_jax.evaluation.benchmarks.fields import optional_text
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.benchmarks.rows import SUFFIXES, Row


@dataclasses.dataclass(frozen=True)
class Source:
    """One annotation file: a task or track has its own where the benchmark comes in several.

    `patterns` are tried in turn, against paths below the data folder in lower case.
    """

    label: str  # handed to the reader with every row
    patterns: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Groups:
    """By what a question is grouped in reports."""

    task: str
    subset: str = ""


def groups_by_type(fields: dict[str, Any], video: str, subset: str = "") -> Groups:
    """Returns the groups of a row in Video-R1's schema: its task, and what a key `subset` names."""
    del video
    task = optional_text(fields, "original_question_type")
    return Groups(task, optional_text(fields, subset) if subset else "")


def in_any_format(*names: str) -> tuple[str, ...]:
    """Returns the patterns of files of some names, the formats in the order of `SUFFIXES`."""
    return tuple(f"{name}{suffix}" for suffix in SUFFIXES for name in names)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A benchmark: where its authors keep the annotation, and how a row becomes a record."""

    name: str
    sources: tuple[Source, ...]  # empty where Video-R1's schema is the only one
    read: Callable[[Row, str], list[Record]]  # raises BrokenRowError
    # The groups of a row in Video-R1's schema, from its fields and its video's path.
    video_r1_groups: Callable[[dict[str, Any], str], Groups]
    object_depth: int = 1  # see rows.read_rows
    folder_fps: float = 2.0
