"""A run as a command starts it: its folder, what stands there, the devices, and its end."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from vreason_jax.engine.engine import Engine
from vreason_jax.errors import UserError
from vreason_jax.evaluation.report import write_report
from vreason_jax.evaluation.results.grids import Grids
from vreason_jax.evaluation.results.predictions import Predictions
from vreason_jax.evaluation.results.questions import keep_words
from vreason_jax.evaluation.results.run_file import RunFile, sole_run
from vreason_jax.evaluation.results.writing import TRACES
from vreason_jax.evaluation.running import plan
from vreason_jax.evaluation.running.controls import NO_LAST_VALUES
from vreason_jax.evaluation.running.session import Session
from vreason_jax.evaluation.running.setup import Request, Warn, prepare
from vreason_jax.evaluation.statistics.summary import write_summary
from vreason_jax.output.files import check_writable, make_folder
from vreason_jax.runtime import distributed
from vreason_jax.runtime.memory import check_cache
from vreason_jax.runtime.mesh import create_mesh
from vreason_jax.runtime.replicas import Replicas
from vreason_jax.runtime.stopping import Stop

Tell = Callable[[str], None]
_LEFTOVERS = ".vreason-*.tmp"  # of files that were being written as a process was killed


class Launch:
    """Everything of a run up to the weights; a context manager that holds the folder."""

    def __init__(
        self, request: Request, folder: Path, mesh: str | None, retry_failed: bool, warn: Warn
    ):
        """Checks it all, and reads what is done; raises UserError for what is wrong."""
        self._folder = folder
        make_folder(folder / TRACES, "--out")
        check_writable(folder / TRACES / "trace.npz", "--out")
        self.setup = prepare(request, warn)
        self._mesh = create_mesh(mesh, self.setup.checkpoint.config)
        self._replicas = Replicas.of(self._mesh)
        with contextlib.ExitStack() as held:  # let go of where something is wrong
            if distributed.is_main():
                held.enter_context(sole_run(folder))
                _sweep(folder)
            former = RunFile(folder).read()
            self._facts = self.setup.check_goes_on(former)
            self._first = self.setup.first_method(former)
            self._predictions = Predictions(folder, retry_failed=retry_failed)
            self._grids = Grids(folder)
            self._held = held.pop_all()

    def __enter__(self) -> "Launch":
        return self

    def __exit__(self, *_) -> None:
        self._held.close()

    def share(self) -> None:
        """Brings all processes to one view of what is done, and notes what is about to run."""
        self._predictions.share(self._keys())
        clips = dict.fromkeys(map(plan.clip_key, self.setup.records))
        self._grids.share(list(clips))
        distributed.together(self._begin)

    def pending(self) -> int:
        """Returns how many answers have no line yet."""
        return sum(key not in self._predictions.done for key in self._keys())

    def answer(
        self, batch_size: int, tell: Tell, warn: Warn, ready: Callable[[Engine], None], stop: Stop
    ) -> None:
        """Loads the model, passes it to `ready`, and answers this process's share."""
        setup = self.setup
        stop.answers, stop.at_end = self._count, self._summarise
        count, tasks = len(setup.records), len(setup.tasks)
        tell(f"{count} questions, {tasks} answers to each, {self.pending()} to be given")
        engine = distributed.together(lambda: self._load(batch_size, warn))
        tell(f"loaded the model in {engine.loading['load']:.1f} s")
        problem = None
        try:
            ready(engine)
            session = Session(
                setup,
                engine,
                self._replicas,
                self._mesh,
                batch_size=batch_size,
                predictions=self._predictions,
                grids=self._grids,
                folder=self._folder,
                first=self._first,
                stop=stop,
            )
            tell(session.summary(session.run()))
        except UserError as error:
            problem = error
        distributed.agree_late(problem)

    def _load(self, batch_size: int, warn: Warn) -> Engine:
        first = next(iter(self.setup.methods.values()))
        checkpoint, tasks = self.setup.checkpoint, self.setup.tasks
        check_cache(
            checkpoint.config,
            checkpoint.dtype(first.model).itemsize,
            prompt=0,
            tokens=max(task.run.sampling.max_new_tokens for task in tasks),
            rows=batch_size * self._replicas.mesh.shape["data"],
        )
        return Engine.load(
            self.setup.checkpoint,
            first.model,
            self._replicas.mesh,
            warn,
            batch_size=batch_size,
            hide_video=self.setup.request.control == NO_LAST_VALUES,
        )

    def finish(self, tell: Tell) -> None:
        """Writes the summary and the report, from the lines."""
        if distributed.is_main():
            write_summary(self._folder)
            write_report([self._folder], self._folder / "report.html")
            tell(f"wrote {self._folder / 'summary.json'} and {self._folder / 'report.html'}")

    def _summarise(self) -> None:
        if distributed.is_main() and self._predictions.done:
            write_summary(self._folder)

    def _count(self) -> str:
        keys = self._keys()
        return f"{sum(key in self._predictions.done for key in keys)} of {len(keys)} answers"

    def _keys(self):
        return [task.key(record) for record in self.setup.records for task in self.setup.tasks]

    def _begin(self) -> None:
        if distributed.is_main():
            answered = {key.id for key in self._predictions.done}
            keep_words(self._folder, self.setup.records, answered)
            RunFile(self._folder).begin(self._facts)


def _sweep(folder: Path) -> None:
    for place in (folder, folder / TRACES):
        for file in place.glob(_LEFTOVERS):
            file.unlink(missing_ok=True)
