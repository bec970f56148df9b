"""The questions of one copy of the model, their clips read ahead, in batches of like length."""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.locate import locate
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.benchmarks.subtitles import text_at
from vreason_jax.evaluation.results.grids import Grids
from vreason_jax.evaluation.results.predictions import Predictions
from vreason_jax.evaluation.running import plan, videos
from vreason_jax.evaluation.running.controls import controlled_clip
from vreason_jax.evaluation.running.setup import Setup
from vreason_jax.evaluation.running.videos import ClipQueue, ReadClip
from vreason_jax.questions import Media, Prepared, Question
from vreason_jax.runtime.replicas import Replicas

Group = Sequence[Record]  # the questions about one clip


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
        predictions: Predictions,
        grids: Grids,
        *,
        rows: int,
        fail: Callable[[Group, ReadClip], None],
    ):
        """`rows` a batch; `fail` is told of every clip that cannot be read."""
        self._setup, self._replicas = setup, replicas
        self._predictions, self._grids = predictions, grids
        self._rows, self._fail = rows, fail
        self._run = next(iter(setup.methods.values()))  # all read clips alike
        self.groups = plan.share_of(setup.records, replicas.group, replicas.groups)
        self._needed = [group for group in self.groups if self._needs_reading(group)]
        jobs = [functools.partial(self._read, group) for group in self._needed]
        self._queue = ClipQueue(jobs, ahead=2 * rows + videos.default_workers())
        self.video_seconds = 0.0  # spent on reading the clips taken so far, in all threads

    @property
    def wait_seconds(self) -> float:
        """How long batches have waited for a clip."""
        return self._queue.wait_seconds

    def __iter__(self) -> Iterator[list[Row]]:
        """Yields the batches, all their rows prepared."""
        for batch in self._planned():
            if any(self._setup.pending(row.record, self._done) for row in batch):
                yield [row for row in map(self._prepared, batch) if row is not None]

    def _planned(self) -> Iterator[list[Row]]:
        buckets: plan.Buckets[Row] = plan.Buckets(self._rows)
        needed = set(map(id, self._needed))
        for group in self.groups:
            clip = self._take() if id(group) in needed else None
            if clip is not None and clip.status is not None:
                self._fail(group, clip)
                continue
            grid = self._grid(group, clip)
            if grid is None:
                continue
            for row in self._rows_of(group, clip):
                batch = buckets.add(row, plan.length_class(grid))
                if batch:
                    yield batch
        yield from buckets.rest()

    def _needs_reading(self, group: Group) -> bool:
        """Whether a clip's answers are missing, or its place in the batches is not known."""
        if any(self._setup.pending(record, self._done) for record in group):
            return True
        failed = all(record.id in self._predictions.failed for record in group)
        return plan.clip_key(group[0]) not in self._grids.known and not failed

    def _take(self) -> ReadClip:
        clip = self._queue.take()
        self.video_seconds += clip.seconds
        return self._agreed(clip)

    def _agreed(self, clip: ReadClip) -> ReadClip:
        """Returns the clip, or its failure where another process of this copy cannot read it."""
        code = self._replicas.largest(videos.STATUSES.index(clip.status))
        status = videos.STATUSES[code]
        return clip if status == clip.status else ReadClip(None, status, "", clip.seconds)

    def _grid(self, group: Group, clip: ReadClip | None) -> plan.Grid | None:
        key = plan.clip_key(group[0])
        if clip is None:
            return self._grids.known.get(key)
        self._replicas.in_step(lambda: self._grids.note(key, clip.grid, self._replicas.is_first))
        return clip.grid

    def _rows_of(self, group: Group, clip: ReadClip | None) -> Iterable[Row]:
        if clip is None:
            return [Row(record, None, 0.0) for record in group]
        answers = sum(len(self._setup.pending(record, self._done)) for record in group)
        pairs = zip(group, clip.prepared, strict=True)
        return [Row(record, ready, clip.seconds / max(1, answers)) for record, ready in pairs]

    def _prepared(self, row: Row) -> Row | None:
        """Reads now what is done, but goes through the model again for its batch's sake."""
        if row.prepared is not None:
            return row
        clip = self._agreed(self._read([row.record]))
        return None if clip.status else row._replace(prepared=clip.prepared[0])

    def _read(self, group: Group) -> ReadClip:
        request, checkpoint = self._setup.request, self._setup.checkpoint
        data, control = request.data or Path(), request.control
        locate_below = functools.partial(locate, data_dir=data, allow_outside=request.allow_outside)
        return videos.read_clip(
            lambda: videos.clip_source(group[0], locate_below, control),
            lambda source: checkpoint.read(
                [source], self._run, lambda clip: controlled_clip(clip, group[0], control)
            ),
            lambda media: tuple(self._ask(media, record) for record in group),
        )

    def _ask(self, media: Media, record: Record) -> Prepared:
        try:
            protocol = self._setup.protocol
            words = protocol.words(record, self._subtitles(media, record))
            question = Question((), words, protocol.wrapping(record), name=record.id)
            return self._setup.checkpoint.ask(media, question, self._run)
        except UserError as error:
            raise UserError(f"{record.id}: {error}") from None

    def _subtitles(self, media: Media, record: Record) -> str:
        if record.subtitles is None:
            return ""
        times = media.clips[0].times.tolist()
        request = self._setup.request
        assert request.data is not None
        return text_at(record, request.data, times, allow_outside=request.allow_outside)

    @property
    def _done(self) -> Collection:
        return self._predictions.done
