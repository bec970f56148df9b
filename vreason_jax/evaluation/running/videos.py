"""Clips read ahead of the device that asks for them, in order, and what became of the bad ones."""

import collections
import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks import shapes
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.running.check import MISSING, UNDECODABLE
from vreason_jax.evaluation.running.controls import BLANK, NONE
from vreason_jax.questions import Media, Prepared, Source, VideoArray, VideoFile

STATUSES = (None, MISSING, UNDECODABLE)


@dataclasses.dataclass(frozen=True)
class ReadClip:
    """A clip's pixels, ready for the model, or why there are none."""

    media: Media | None
    status: str | None  # of STATUSES
    reason: str
    seconds: float  # that reading took, whoever waited
    prepared: tuple[Prepared, ...] = ()  # the questions about it

    @property
    def grid(self) -> tuple[int, ...]:
        """The patches' grid, which questions of one batch share."""
        assert self.media is not None
        return tuple(map(int, self.media.patches[0].grid))


def clip_source(record: Record, locate: Callable[[Record], Path], control: str = NONE) -> Source:
    """Returns a record's clip: a file below the data folder, or frames drawn now, of `shapes`.

    Only what is drawn here can be drawn as a control wants it; files are changed as they are read.
    """
    if shapes.is_drawn(record):
        return VideoArray(*shapes.clip_of(record, blank=control == BLANK))
    path = str(locate(record))
    return VideoFile(path, record.folder_fps, start=record.start, end=record.end)


def read_clip(
    source: Callable[[], Source],
    read: Callable[[Source], Media],
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
        status = UNDECODABLE if path is not None and os.path.exists(path) else MISSING
        reason = str(error) if isinstance(error, UserError) else f"{path}: {error!r}"
    prepared = () if media is None else ask(media)
    seconds = time.perf_counter() - began
    return ReadClip(media, status, " ".join(reason.split()), seconds, prepared)


class ClipQueue:
    """Reads clips in threads, a number of them ahead, and hands them out in the order given.

    Files are decoded in processes that can be killed; the threads wait for those. They are daemons:
    a run that ends early does not wait for a file that never ends.
    """

    def __init__(
        self,
        jobs: Sequence[Callable[[], ReadClip]],
        *,
        ahead: int,
        workers: int | None = None,
    ):
        """`ahead` clips at most are read or being read and not yet taken."""
        self.wait_seconds = 0.0  # that `take` has waited, all calls together
        self._jobs = collections.deque(jobs)
        self._taking: collections.deque[Future[ReadClip]] = collections.deque()
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(min(ahead, workers or default_workers())):
            threading.Thread(target=self._work, daemon=True).start()
        for _ in range(ahead):
            self._submit()

    def take(self) -> ReadClip:
        """Returns the next clip, waiting for it."""
        future = self._taking.popleft()
        began = time.perf_counter()
        clip = future.result()
        self.wait_seconds += time.perf_counter() - began
        self._submit()
        return clip

    def _submit(self) -> None:
        if self._jobs:
            future: Future[ReadClip] = Future()
            self._taking.append(future)
            self._queue.put((self._jobs.popleft(), future))

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
