"""A run as a command starts it: its folder, its devices, its answers, and its end."""

import contextlib
import datetime
import time
import uuid
from collections.abc import Callable, Sequence

import numpy as np

from vreason_jax.engine.engine import Engine
from vreason_jax.evaluation import report
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.evaluation.results.lines import PREDICTIONS
from vreason_jax.evaluation.results.run_folder import RunFolder
from vreason_jax.evaluation.results.workers import Worker
from vreason_jax.evaluation.results.writing import Writer
from vreason_jax.evaluation.running import plan
from vreason_jax.evaluation.running.answering import Answering
from vreason_jax.evaluation.running.batches import Batches
from vreason_jax.evaluation.running.claims import Claims
from vreason_jax.evaluation.running.controls import NO_LAST_VALUES
from vreason_jax.evaluation.running.progress import Progress
from vreason_jax.evaluation.running.session import Session
from vreason_jax.evaluation.running.setup import Request, Warn, prepare
from vreason_jax.evaluation.statistics.summary import write_summary
from vreason_jax.runtime import distributed, group
from vreason_jax.runtime.memory import check_cache, give_back
from vreason_jax.runtime.mesh import create_mesh
from vreason_jax.runtime.replicas import Replicas
from vreason_jax.runtime.stopping import Stop

_LARGE = 10**6  # bytes of lines whose report takes much memory, as programs do
_NOTED_EVERY = 10.0  # seconds; what a kill can lose of the times


class Evaluation:
    """One run, from its folder to its report; a context manager that holds the folder."""

    def __init__(self, request: Request, stop: Stop, tell: Warn, warn: Warn):
        """Checks it all, and reads what is done; raises UserError for what is wrong."""
        assert request.out is not None
        self._stop, self._tell, self._warn = stop, tell, warn
        self.folder = RunFolder(request.out)
        self.setup = prepare(request, warn, self.folder.facts)
        self._mesh = create_mesh(request.mesh, self.setup.checkpoint.config, many=True)
        self._replicas = Replicas.of(self._mesh)
        self.folder.writes = self._replicas.is_first
        self._keys = self.setup.keys(self.setup.records)
        with contextlib.ExitStack() as held:  # let go of where something is wrong
            self._hold(held)
            self.setup.check_goes_on(self.folder.facts)
            self._first = self.setup.first_method(self.folder.facts)
            hashes = {task.method: task.config_hash for task in self.setup.tasks}
            self.folder.read(retry=self._keys if request.retry_failed else (), hashes=hashes)
            now = datetime.datetime.now(datetime.UTC)
            self.worker = Worker(request.out, now.isoformat())
            if self.folder.writes:
                held.enter_context(self.worker)
            self._held = held.pop_all()

    def __enter__(self) -> "Evaluation":
        return self

    def __exit__(self, *_) -> None:
        self._held.close()

    def begin(self) -> int:
        """Brings all processes to one view of what is done; returns how many answers are not."""
        clips = dict.fromkeys(map(plan.clip_key, self.setup.records))
        self.folder.share(self._keys, list(clips), distributed.largest)
        part, prompt = str(self.setup.request.shard), self.setup.protocol.question_text
        asked = self._keys if self._in_one_folder() else self.setup.keys(self._share())
        self.folder.begin(self.setup.check_goes_on, self.setup.records, prompt, part, asked)
        self._stop.answers, self._stop.at_end = self._count, self._leave
        pending = len(self._keys) - self.folder.answered(self._keys)
        if pending:
            count, tasks = len(self.setup.records), len(self.setup.tasks)
            self._tell(f"{count} questions, {tasks} answers to each, {pending} to be given")
        return pending

    def answer(self, ready: Callable[[Engine], None]) -> None:
        """Loads the model, passes it to `ready`, and answers this process's share."""
        engine = self._load()
        self._tell(f"loaded the model in {engine.loading['load']:.1f} s")
        ready(engine)
        session = self._session(engine)
        noted = float("-inf")
        for rows in session.batches:
            with self._stop.group():
                session.answering.answer(rows)
            session.batch_done()
            if time.monotonic() - noted >= _NOTED_EVERY:
                noted = time.monotonic()
                self.folder.note(session.facts())
                give_back()  # else what the C library keeps of freed memory grows
        session.answering.progress.close()
        self.folder.note(session.facts())
        self._tell(session.summary())
        group.wait_for_all("answered")

    def finish(self) -> None:
        """Writes the summary and the report, from the lines."""
        if self.folder.owned and self.folder.has_lines():
            # What answering took, so that a long report does not come on top of it.
            lines = self.folder.path / PREDICTIONS
            give_back(programs=lines.stat().st_size > _LARGE)
            files = [self.folder.path / name for name in ("summary.json", "report.html")]
            report.write([self.folder.path], *files)
            self._tell(f"wrote {files[0]} and {files[1]}")

    def _hold(self, held: contextlib.ExitStack) -> None:
        """Locks the folder, of several processes the first one at first."""
        run, request = uuid.uuid4().hex, self.setup.request
        part = str(request.shard) if request.shard.count > 1 else None
        if distributed.is_main():
            held.enter_context(self.folder.held(run, part, alone=not request.claim))
        first = group.of_first("run", run)
        group.check_same("questions and methods", self.setup.digests())
        if self.folder.writes and not distributed.is_main():
            held.enter_context(self.folder.held(first, part, alone=not request.claim))

    def _load(self) -> Engine:
        setup, first = self.setup, next(iter(self.setup.methods.values()))
        check_cache(
            setup.checkpoint.config,
            setup.checkpoint.dtype(first.model).itemsize,
            prompt=0,
            tokens=max(task.run.sampling.max_new_tokens for task in setup.tasks),
            rows=setup.request.batch_size * self._replicas.mesh.shape["data"],
        )
        return Engine.load(
            setup.checkpoint,
            first.model,
            self._replicas.mesh,
            self._warn,
            batch_size=setup.request.batch_size,
            hide_video=setup.request.control == NO_LAST_VALUES,
        )

    def _session(self, engine: Engine) -> Session:
        setup, replicas = self.setup, self._replicas
        claims = None
        if setup.request.claim:
            worker = self.worker if self.folder.writes else None
            claims = Claims(setup, self.folder, replicas, worker)
        groups = self._groups()
        keys = setup.keys(self._share())
        shown = replicas.group == 0 and replicas.is_first
        progress = Progress(len(keys), lambda: self.folder.answered(keys), shown=shown)
        writer = Writer(self.folder, setup.protocol, setup.model_name, self._first)
        answering = Answering(setup, engine, self.folder, writer, progress, self._stop)
        batches = Batches(
            setup,
            replicas,
            self.folder,
            groups,
            rows=engine.rows_per_batch,
            fail=answering.fail,
            claims=claims,
        )
        return Session(engine, self._mesh, batches, answering, self.worker.started)

    def _groups(self) -> Sequence[plan.Group]:
        """The clips of this process's share."""
        replicas, claim = self._replicas, self.setup.request.claim
        part, count = (0, 1) if claim else (replicas.group, replicas.groups)
        return plan.share_of(self.setup.records, part, count)

    def _share(self) -> list[Record]:
        return [record for group in self._groups() for record in group]

    def _in_one_folder(self) -> bool:
        """Whether all processes write to one folder, and not each to its own."""
        own = self.folder.owned and not distributed.is_main()
        return not distributed.largest(np.array([own], np.uint8))[0]

    def _count(self) -> str:
        return f"{self.folder.answered(self._keys)} of {len(self._keys)} answers"

    def _leave(self) -> None:
        if self.folder.writes:
            self.worker.leave()
        if self.folder.owned and self.folder.has_lines():
            write_summary(self.folder.path)
