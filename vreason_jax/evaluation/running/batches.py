"""The questions of one copy of the model, their clips read ahead, in batches of like length."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.locate import locate
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.benchmarks.subtitles import text_at
from vreason_jax.evaluation.results.run_folder import Grid, RunFolder, State
from vreason_jax.evaluation.running import plan, videos
from vreason_jax.evaluation.running.claims import Claims
from vreason_jax.evaluation.running.controls import controlled_clip
from vreason_jax.evaluation.running.plan import Group
from vreason_jax.evaluation.running.setup import Setup
from vreason_jax.evaluation.running.videos import ClipQueue, ReadClip
from vreason_jax.questions import Media, Prepared, Question, Source
from vreason_jax.runtime.replicas import Replicas


class Row(NamedTuple):
    """A question ready for the model, or (None) one that nobody needs to be ready yet."""

    record: Record
    prepared: Prepared | None
    seconds: float  # of reading the clip, the share of each of its answers


class Batches:
    """An iterable of the batches that hold a question without all its answers.

    Which questions stand together is planned over all of them, also those that are done, so that
    they stand with the same others as in a run that nothing has interrupted.
    """

    def __init__(
        self,
        setup: Setup,
        replicas: Replicas,
        folder: RunFolder,
        groups: Sequence[Group],
        *,
        rows: int,
        fail: Callable[[Group, str, str], None],
        claims: Claims | None = None,
    ):
        """`rows` a batch; `fail` is told of every clip that cannot be read, and why.

        With `claims`, it yields those clips' questions that no other worker has taken.
        """
        self._setup, self._replicas, self._folder = setup, replicas, folder
        self._groups, self._rows, self._fail, self._claims = groups, rows, fail, claims
        self._run = next(iter(setup.methods.values()))  # all read clips alike
        # What is claimed is out of reach of the others.
        ahead = rows if claims else 2 * rows + videos.default_workers()
        self._queue: ClipQueue[Group] = ClipQueue(ahead=ahead)
        self.video_seconds = 0.0  # spent on reading the clips taken so far, in all threads

    @property
    def wait_seconds(self) -> float:
        """How long batches have waited for a clip."""
        return self._queue.wait_seconds

    def __iter__(self) -> Iterator[list[Row]]:
        """Yields the batches, all their rows prepared."""
        rounds = [self._groups] if self._claims is None else self._claims.rounds(self._groups)
        for groups in rounds:
            for batch in self._planned(groups):
                if any(self._pending(row.record) for row in batch):
                    yield [row for row in map(self._prepared, batch) if row is not None]
                if self._claims is not None:
                    self._claims.release_done()

    def _planned(self, groups: Iterable[Group]) -> Iterator[list[Row]]:
        buckets: plan.Buckets[Row] = plan.Buckets(self._rows)
        geometry = self._setup.checkpoint.config.geometry
        for group, clip in self._queue.read((group, self._job(group)) for group in groups):
            status, reason = self._failure(group, clip)
            if status is not None:
                self._fail(group, status, reason)
                continue
            grid = self._grid(group, clip)
            if grid is None:
                continue
            for row in self._rows_of(group, clip):
                batch = buckets.add(row, plan.length_class(geometry.tokens(grid)))
                if batch:
                    yield batch
        yield from buckets.rest()

    def _pending(self, record: Record) -> int:
        return len(self._setup.pending(record, self._folder))

    def _job(self, group: Group) -> Callable[[], ReadClip] | None:
        """Reads a clip whose answers are missing, or whose place in the batches is not known."""
        known = self._folder.grid(plan.clip_key(group[0])) is not None
        if self._known_failure(group) or (known and not any(map(self._pending, group))):
            return None
        return functools.partial(self._read, group)

    def _known_failure(self, group: Group) -> State:
        return max(self._folder.failure(record.id) for record in group)

    def _failure(self, group: Group, clip: ReadClip | None) -> tuple[str | None, str]:
        """Returns the status of a clip that cannot be read, or could not before, and the reason."""
        if clip is not None:
            self.video_seconds += clip.seconds
            clip = self._agreed(clip)
            return clip.status, clip.reason
        failure = self._known_failure(group)
        if failure and any(map(self._pending, group)):
            return failure.status, f"{group[0].video}: as before; --retry-failed tries again"
        return None, ""

    def _agreed(self, clip: ReadClip) -> ReadClip:
        """Returns the clip, or its failure where another process of this copy cannot read it."""
        (code,) = self._replicas.largest(np.array([videos.STATUSES.index(clip.status)]))
        status = videos.STATUSES[code]
        return clip if status == clip.status else ReadClip(status, "", clip.seconds)

    def _grid(self, group: Group, clip: ReadClip | None) -> Grid | None:
        key = plan.clip_key(group[0])
        if clip is None:
            return self._folder.grid(key)
        self._folder.note_grid(key, clip.grid)
        return clip.grid

    def _rows_of(self, group: Group, clip: ReadClip | None) -> Iterable[Row]:
        if clip is None:
            return [Row(record, None, 0.0) for record in group]
        answers = sum(map(self._pending, group))
        pairs = zip(group, clip.prepared, strict=True)
        return [Row(record, ready, clip.seconds / max(1, answers)) for record, ready in pairs]

    def _prepared(self, row: Row) -> Row | None:
        """Reads now what is done, but goes through the model again for its batch's sake."""
        if row.prepared is not None:
            return row
        clip = self._agreed(self._read([row.record]))
        return None if clip.status else row._replace(prepared=clip.prepared[0])

    def _read(self, group: Group) -> ReadClip:
        request = self._setup.request
        data = request.data or Path()
        locate_below = functools.partial(locate, data_dir=data, allow_outside=request.allow_outside)
        return videos.read_clip(
            lambda: videos.clip_source(group[0], locate_below, request.control),
            lambda source: self._shown(source, group),
            lambda media: self._ask_all(media, group),
        )

    def _shown(self, source: Source | None, group: Group) -> Media:
        for record in group:
            self._subtitles(record, ())  # a file that cannot be read is the clip's failure
        return self._setup.checkpoint.read(
            [source] if source else [],
            self._run,
            lambda clip: controlled_clip(clip, group[0], self._setup.request.control),
        )

    def _ask_all(self, media: Media, group: Group) -> tuple[Prepared, ...]:
        for clip in media.clips:
            self._folder.keep_frames(plan.clip_key(group[0]), clip.frames, clip.times)
        # The patches hold the pixels too, and wait for the model in hundreds.
        shown = (dataclasses.replace(clip, frames=clip.frames[:0].copy()) for clip in media.clips)
        media = Media(tuple(shown), media.patches)
        return tuple(self._ask(media, record) for record in group)

    def _ask(self, media: Media, record: Record) -> Prepared:
        try:
            protocol = self._setup.protocol
            times = media.clips[0].times.tolist() if media.clips else ()
            words = protocol.words(record, self._subtitles(record, times))
            question = Question((), words, protocol.wrapping(record), name=record.id)
            return self._setup.checkpoint.ask(media, question, self._run)
        except UserError as error:
            raise UserError(f"{record.id}: {error}") from None

    def _subtitles(self, record: Record, times: Sequence[float]) -> str:
        request = self._setup.request
        folder = request.data or Path()
        return text_at(record, folder, times, allow_outside=request.allow_outside)
