"""A batch is read once, and answered by every method and seed; a clip that fails gets its lines."""

from collections.abc import Sequence

from vreason_jax.engine.engine import Engine, ReadBatch
from vreason_jax.evaluation.results.lines import Line
from vreason_jax.evaluation.results.run_folder import RunFolder
from vreason_jax.evaluation.results.writing import Writer
from vreason_jax.evaluation.running.batches import Row
from vreason_jax.evaluation.running.comparison import Reference
from vreason_jax.evaluation.running.plan import Group
from vreason_jax.evaluation.running.progress import Progress
from vreason_jax.evaluation.running.setup import Setup, Task
from vreason_jax.evaluation.statistics.costs import DecodeCosts, plain
from vreason_jax.runtime.stopping import Stop


class Answering:
    """Gives the answers of one copy of the model, and counts what they cost."""

    def __init__(
        self,
        setup: Setup,
        engine: Engine,
        folder: RunFolder,
        writer: Writer,
        progress: Progress,
        stop: Stop,
    ):
        self._setup, self._engine = setup, engine
        self._folder, self._writer, self._stop = folder, writer, stop
        self.progress = progress
        self.costs = DecodeCosts(setup.methods)
        self.answers = 0

    def answer(self, rows: Sequence[Row]) -> None:
        """Gives all answers to a batch that have no line yet."""
        before = dict(self._engine.clock.stages)
        prepared = [row.prepared for row in rows if row.prepared is not None]
        most = max(task.run.sampling.max_new_tokens for task in self._setup.tasks)
        read = self._engine.read(prepared, most)
        pending = sum(len(self._setup.pending(row.record, self._folder)) for row in rows)
        shared = {
            stage: self._since(before, stage) / max(1, pending) for stage in ("vision", "prefill")
        }
        reference = Reference(self._engine, read, self._setup.tasks)
        for task in self._setup.tasks:
            missing = [task in self._setup.pending(row.record, self._folder) for row in rows]
            if any(missing):
                self._run_task(task, read, rows, missing, reference, shared)

    def fail(self, group: Group, status: str, reason: str) -> None:
        """Writes the lines of a clip that cannot be read."""
        lines = [
            self._writer.failure(record, task, status)
            for record in group
            for task in self._setup.pending(record, self._folder)
        ]
        self._write(lines)
        self._engine.warn(f"{status}: {reason or group[0].video}")

    def _run_task(
        self, task: Task, read: ReadBatch, rows, missing, reference: Reference, shared
    ) -> None:
        before = dict(self._engine.clock.stages)
        answers = self._engine.answer(read, task.run)
        seconds = self._since(before, "decode")
        self.costs.add(task.method, read.cache.capacity, seconds, _steps(answers))
        if self._setup.request.time_controller:
            self._time_plain(task, read)
        apart = [None] * len(rows)
        if self._setup.request.compare_logits:
            reference.keep(task, answers)
            apart = reference.distances(task) or apart
        own = {**shared, "decode": seconds / len(rows)}
        self._write(
            [
                self._writer.answer(
                    row.record, task, answer, {**own, "video": row.seconds}, distance
                )
                for row, answer, distance, wanted in zip(rows, answers, apart, missing, strict=True)
                if wanted
            ]
        )
        self.answers += sum(missing)

    def _time_plain(self, task: Task, read: ReadBatch) -> None:
        """Decodes once more without the controller, where no method has at this shape."""
        shape = read.cache.capacity
        if not self.costs.knows_plain(task.method, shape):
            before = dict(self._engine.clock.stages)
            steps = _steps(self._engine.answer(read, plain(task.run)))
            self.costs.add_plain(task.method, shape, self._since(before, "decode"), steps)

    def _write(self, lines: list[Line]) -> None:
        with self._stop.write():
            self._folder.add(lines)
        self.progress.tell()

    def _since(self, before: dict[str, float], stage: str) -> float:
        return self._engine.clock.stages.get(stage, 0.0) - before.get(stage, 0.0)


def _steps(answers) -> int:
    return max(len(answer.tokens.token) for answer in answers)
