"""Clips read ahead of the device that asks for them, in order, and what became of the bad ones."""

import collections
import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks import shapes
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.running.check import MISSING, UNDECODABLE, failed_status
from vreason_jax.evaluation.running.controls import BLANK, NONE
from vreason_jax.questions import Media, Prepared, Source, VideoArray, VideoFile

T = TypeVar("T")
STATUSES = (None, MISSING, UNDECODABLE)


@dataclasses.dataclass(frozen=True)
class ReadClip:
    """The questions about a clip, ready for the model with its pixels, or why there are none."""

    status: str | None  # of STATUSES
    reason: str
    seconds: float  # that reading took, whoever waited
    prepared: tuple[Prepared, ...] = ()

    @property
    def grid(self) -> tuple[int, ...]:
        """The patches' grid, by which questions come into batches; of no clip an empty one."""
        patches = self.prepared[0].media.patches
        return tuple(map(int, patches[0].grid)) if patches else (0, 0, 0)


def clip_source(
    record: Record, locate: Callable[[Record], Path], control: str = NONE
) -> Source | None:
    """Returns a record's clip: a file below the data folder, or frames drawn now, of `shapes`.

    None where the record has none. Only what is drawn here can be drawn as a control wants it;
    files are changed as they are read.
    """
    if not record.video:
        return None
    if shapes.is_drawn(record):
        return VideoArray(*shapes.clip_of(record, blank=control == BLANK))
    path = str(locate(record))
    return VideoFile(path, record.folder_fps, start=record.start, end=record.end)


def read_clip(
    source: Callable[[], Source | None],
    read: Callable[[Source | None], Media],
    ask: Callable[[Media], tuple[Prepared, ...]],
) -> ReadClip:
    """Returns the clip as read, and the questions about it; a bad file becomes a status.

    Raises UserError as `ask` does.
    """
    began = time.perf_counter()
    media, status, reason, path = None, None, "", None
    try:
        opened = source()
        path = getattr(opened, "path", None)
        media = read(opened)
    except Exception as error:  # a bad file must not end the run, however a library fails on it
        status = failed_status(path)
        reason = str(error) if isinstance(error, UserError) else f"{path}: {error!r}"
    prepared = () if media is None else ask(media)
    seconds = time.perf_counter() - began
    return ReadClip(status, " ".join(reason.split()), seconds, prepared)


Job = Callable[[], ReadClip]


class ClipQueue(Generic[T]):
    """Reads clips in threads, a number of them ahead, and hands them out in the order given.

    Files are decoded in processes that can be killed; the threads wait for those. They are daemons:
    a run that ends early does not wait for a file that never ends.
    """

    def __init__(self, *, ahead: int, workers: int | None = None):
        """`ahead` clips at most are read or being read and not yet taken."""
        self.wait_seconds = 0.0  # of the one that takes, all clips together
        self._ahead = ahead
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(min(ahead, workers or default_workers())):
            threading.Thread(target=self._work, daemon=True).start()

    def read(self, jobs: Iterable[tuple[T, Job | None]]) -> Iterator[tuple[T, ReadClip | None]]:
        """Yields what each job is for, and its clip: None where there is no job.

        Jobs are taken from the iterable as they are begun.
        """
        coming, taking = iter(jobs), collections.deque()

        def begin_one() -> None:
            for owner, job in coming:
                future: Future[ReadClip] | None = Future() if job else None
                taking.append((owner, future))
                if job:
                    self._queue.put((job, future))
                    return

        for _ in range(self._ahead):
            begin_one()
        while taking:
            owner, future = taking.popleft()
            if future is None:
                yield owner, None
                continue
            began = time.perf_counter()
            clip = future.result()
            self.wait_seconds += time.perf_counter() - began
            begin_one()
            yield owner, clip
            del clip, future  # while the next is waited for

    def _work(self) -> None:
        while True:
            job, future = self._queue.get()
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
            del job, future  # a thread that waits must not hold a clip


def default_workers() -> int:
    """Returns how many clips are read at a time: decoders have threads of their own."""
    return min(16, max(2, (os.cpu_count() or 2) // 2))
