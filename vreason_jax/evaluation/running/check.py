"""`--check`: the missing and unreadable videos of a benchmark, before any model loads."""

import dataclasses
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks import shapes
from vreason_jax.evaluation.benchmarks.locate import locate
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.results.lines import BAD_VIDEO
from vreason_jax.geometry import Geometry
from vreason_jax.video.process import kept_worker
from vreason_jax.video.reader import read_video
from vreason_jax.video.resize import PixelLimits, Sizing
from vreason_jax.video.sampling import Segment

__all__ = ["MISSING", "UNDECODABLE", "Problem", "check_videos", "locate"]

MISSING, UNDECODABLE = BAD_VIDEO
_ENDS = 2  # frames: the first and the last of those that a run would read
_SMALL = Sizing(Geometry(1, 1, 1), PixelLimits(2**10, 2**12))  # whatever the model


def failed_status(path: str | Path | None) -> str:
    """Returns the status of a video that cannot be read: whether its file is there."""
    return UNDECODABLE if path is not None and os.path.exists(path) else MISSING


@dataclasses.dataclass(frozen=True)
class Problem:
    """A video that a run cannot show, and the questions about it."""

    ids: tuple[str, ...]
    video: str  # as the records name it
    status: str  # MISSING or UNDECODABLE
    reason: str

    def __str__(self) -> str:
        """The problem in one line."""
        count = f"{len(self.ids)} question{'s' if len(self.ids) > 1 else ''}"
        return f"{self.status}: {self.video} ({count}): {self.reason}"


def check_videos(
    records: Iterable[Record],
    data_dir: str | Path,
    config: VideoConfig | None = None,
    *,
    workers: int | None = None,
    allow_outside: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Problem]:
    """Returns the problems with the videos of some records, in the order of the records.

    It reads the first and last frame of each video, and of each part that records name, in
    processes with the time limit of `config`, `workers` at a time. It calls `progress` with the
    number done and the total. Clips of `shapes` that are drawn, and text, have no files.
    """
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        if record.video and not shapes.is_drawn(record):
            groups.setdefault((record.video, record.start, record.end), []).append(record)
    settings = dataclasses.replace(config or VideoConfig(), num_frames=_ENDS)
    found: dict[int, Problem | None] = {}
    waiting = iter(enumerate(groups.values()))
    turn = threading.Lock()

    def work() -> None:
        with kept_worker():
            while True:
                with turn:
                    progress(len(found), len(groups))
                    number, group = next(waiting, (None, []))
                if number is None:
                    return
                found[number] = _probe(group, data_dir, settings, allow_outside)

    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count) as pool:
        for ended in [pool.submit(work) for _ in range(count)]:
            ended.result()
    progress(len(found), len(groups))
    return [problem for _, problem in sorted(found.items()) if problem is not None]


def _probe(
    records: Sequence[Record], data_dir: str | Path, config: VideoConfig, allow_outside: bool
) -> Problem | None:
    record, ids = records[0], tuple(record.id for record in records)
    try:
        path = locate(record, data_dir, allow_outside=allow_outside)
    except UserError as error:
        return Problem(ids, record.video, MISSING, str(error))
    segment = Segment(record.start, record.end)
    try:
        read_video(path, config, _SMALL, folder_fps=record.folder_fps, segment=segment)
    except UserError as error:
        return Problem(ids, record.video, failed_status(path), str(error))
    return None
