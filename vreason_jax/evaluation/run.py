"""The loop: every batch is read once, and answered by every method and seed."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vreason_jax.config import RunConfig
from vreason_jax.evaluation.batches import Batches, Group, Row
from vreason_jax.evaluation.comparison import Reference
from vreason_jax.evaluation.costs import DecodeCosts
from vreason_jax.evaluation.grids import Grids
from vreason_jax.evaluation.plan import clip_key
from vreason_jax.evaluation.predictions import Predictions
from vreason_jax.evaluation.progress import Progress
from vreason_jax.evaluation.reply import Reply
from vreason_jax.evaluation.setup import Setup, Task, Warn
from vreason_jax.evaluation.sharing import Asked, ReadBatch, SharedReader
from vreason_jax.evaluation.videos import ReadClip
from vreason_jax.evaluation.writing import Writer
from vreason_jax.runtime.replicas import Replicas


class Evaluation:
    """Answers one share of a benchmark's questions, those of this copy of the model."""

    def __init__(
        self,
        setup: Setup,
        reader: SharedReader,
        replicas: Replicas,
        predictions: Predictions,
        grids: Grids,
        folder: Path,
        first: str,
        warn: Warn,
    ):
        """`first` is the method that the others are compared with."""
        self._setup, self._reader, self._replicas = setup, reader, replicas
        self._done, self._warn = predictions.done, warn
        self._writer = Writer(
            folder, predictions, setup.protocol, setup.model_name, first, replicas.is_first
        )
        self.batches = Batches(
            setup, replicas, predictions, grids, rows=reader.rows_per_batch, fail=self._fail
        )
        self.costs = DecodeCosts(setup.methods)
        self.answers = 0
        self._warm: tuple[float, float] | None = None  # time, and waiting, after the first batch
        records = [record for group in self.batches.groups for record in group]
        total = len(records) * len(setup.tasks)
        pending = sum(len(setup.pending(record, self._done)) for record in records)
        shown = replicas.group == 0 and replicas.is_first
        self._progress = Progress(total, total - pending, shown=shown)

    def run(self) -> Iterator[None]:
        """Answers what has no line yet; yields after every batch."""
        for rows in self.batches:
            self._answer(rows)
            self._warm = self._warm or (time.monotonic(), self.batches.wait_seconds)
            yield
        self._progress.close()

    def waited(self) -> tuple[float, float]:
        """Returns seconds of waiting for clips after the first batch, and of how many."""
        if self._warm is None:
            return 0.0, 0.0
        at, waited = self._warm
        return self.batches.wait_seconds - waited, time.monotonic() - at

    def _answer(self, rows: Sequence[Row]) -> None:
        before = dict(self._reader.clock.stages)
        read = self._reader.read([_asked(row) for row in rows])
        pending = sum(len(self._setup.pending(row.record, self._done)) for row in rows)
        shared = {stage: self._since(before, stage) / pending for stage in ("vision", "prefill")}
        shape = read.length, _asked(rows[0]).prepared.patches[0].grid
        reference = Reference(self._reader, read, self._setup.tasks)
        for task in self._setup.tasks:
            if any(task.key(row.record) not in self._done for row in rows):
                self._run_task(task, read, rows, reference, shared, shape)
        for run in self.costs.untimed(shape):
            _, seconds, steps = self._timed(read, run, seed=0)
            self.costs.add_plain(run, shape, seconds, steps)

    def _run_task(
        self, task: Task, read: ReadBatch, rows, reference: Reference, shared, shape: Any
    ) -> None:
        replies, seconds, steps = self._timed(read, task.run, task.seed)
        self.costs.add(task.method, shape, seconds, steps)
        apart = None
        if self._setup.request.compare_logits:
            reference.keep(task, replies)
            apart = reference.distances(task)
        missing = [
            (row, reply, distance)
            for row, reply, distance in zip(rows, replies, apart or [None] * len(rows), strict=True)
            if task.key(row.record) not in self._done
        ]

        def write():
            for row, reply, distance in missing:
                own = {**shared, "video": row.seconds, "decode": seconds / len(rows)}
                self._writer.reply(row.record, task, reply, own, distance)

        self._replicas.in_step(write)
        self.answers += len(missing)
        self._progress.add(len(missing))

    def _timed(self, read: ReadBatch, run: RunConfig, seed: int) -> tuple[list[Reply], float, int]:
        """Replies, seconds of decoding without compilation, and tokens of the longest reply."""
        before = dict(self._reader.clock.stages)
        replies = self._reader.answer(read, run, seed)
        steps = max(len(reply.token_ids) for reply in replies)
        return replies, self._since(before, "decode"), steps

    def _since(self, before: dict[str, float], stage: str) -> float:
        return self._reader.clock.stages.get(stage, 0.0) - before.get(stage, 0.0)

    def _fail(self, group: Group, clip: ReadClip) -> None:
        status = clip.status
        assert status is not None
        lines = [(record, t) for record in group for t in self._setup.pending(record, self._done)]

        def write():
            for record, task in lines:
                self._writer.failure(record, task, status)

        self._replicas.in_step(write)
        self._warn(f"{status}: {clip.reason or group[0].video}")
        self._progress.add(len(lines))


def _asked(row: Row) -> Asked:
    assert row.prepared is not None
    return Asked(row.prepared, clip_key(row.record), row.record.id)
