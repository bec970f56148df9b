"""The loop: every batch is read once, and answered by every method and seed."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vreason_jax.engine.engine import Engine, ReadBatch
from vreason_jax.evaluation.results.grids import Grids
from vreason_jax.evaluation.results.predictions import Predictions
from vreason_jax.evaluation.results.writing import Writer
from vreason_jax.evaluation.running.batches import Batches, Group, Row
from vreason_jax.evaluation.running.comparison import Reference
from vreason_jax.evaluation.running.progress import Progress
from vreason_jax.evaluation.running.setup import Setup, Task, Warn
from vreason_jax.evaluation.running.videos import ReadClip
from vreason_jax.evaluation.statistics.costs import DecodeCosts
from vreason_jax.runtime.replicas import Replicas
from vreason_jax.runtime.stopping import Stop


class Evaluation:
    """Answers one share of a benchmark's questions, those of this copy of the model."""

    def __init__(
        self,
        setup: Setup,
        engine: Engine,
        replicas: Replicas,
        predictions: Predictions,
        grids: Grids,
        folder: Path,
        first: str,
        warn: Warn,
        stop: Stop,
    ):
        """`first` is the method that the others are compared with."""
        self._setup, self._engine, self._replicas = setup, engine, replicas
        self._done, self._warn, self._stop = predictions.done, warn, stop
        self._writer = Writer(
            folder, predictions, setup.protocol, setup.model_name, first, replicas.is_first
        )
        self.batches = Batches(
            setup, replicas, predictions, grids, rows=engine.rows_per_batch, fail=self._fail
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
            with self._stop.group():
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
        before = dict(self._engine.clock.stages)
        prepared = [row.prepared for row in rows if row.prepared is not None]
        most = max(task.run.sampling.max_new_tokens for task in self._setup.tasks)
        read = self._engine.read(prepared, most)
        pending = sum(len(self._setup.pending(row.record, self._done)) for row in rows)
        shared = {stage: self._since(before, stage) / pending for stage in ("vision", "prefill")}
        reference = Reference(self._engine, read, self._setup.tasks)
        for task in self._setup.tasks:
            if any(task.key(row.record) not in self._done for row in rows):
                self._run_task(task, read, rows, reference, shared)

    def _run_task(self, task: Task, read: ReadBatch, rows, reference: Reference, shared) -> None:
        before = dict(self._engine.clock.stages)
        answers = self._engine.answer(read, task.run)
        seconds = self._since(before, "decode")
        steps = max(len(answer.tokens.token) for answer in answers)
        self.costs.add(task.method, read.cache.capacity, seconds, steps)
        apart = None
        if self._setup.request.compare_logits:
            reference.keep(task, answers)
            apart = reference.distances(task)
        missing = [
            (row, answer, distance)
            for row, answer, distance in zip(
                rows, answers, apart or [None] * len(rows), strict=True
            )
            if task.key(row.record) not in self._done
        ]

        def write():
            with self._stop.write():
                for row, answer, distance in missing:
                    own = {**shared, "video": row.seconds, "decode": seconds / len(rows)}
                    self._writer.answer(row.record, task, answer, own, distance)

        self._replicas.in_step(write)
        self.answers += len(missing)
        self._progress.add(len(missing))

    def _since(self, before: dict[str, float], stage: str) -> float:
        return self._engine.clock.stages.get(stage, 0.0) - before.get(stage, 0.0)

    def _fail(self, group: Group, clip: ReadClip) -> None:
        status = clip.status
        assert status is not None
        lines = [(record, t) for record in group for t in self._setup.pending(record, self._done)]

        def write():
            with self._stop.write():
                for record, task in lines:
                    self._writer.failure(record, task, status)

        self._replicas.in_step(write)
        self._warn(f"{status}: {clip.reason or group[0].video}")
        self._progress.add(len(lines))
