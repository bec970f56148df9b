"""Compiles the decoding of questions in a thread, while the main one reads them."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import jax
import numpy as np

from vreason_jax.config import RunConfig
from vreason_jax.decoding import ladder
from vreason_jax.decoding.driver import Program
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.state import placed_shapes
from vreason_jax.engine.engine import Engine
from vreason_jax.engine.rows import PromptRows
from vreason_jax.model.cache import KVCache
from vreason_jax.questions import Prepared


class DecodingAhead:
    """The program by which the first answers of an engine are decoded."""

    def __init__(self, engine: Engine, questions: Sequence[Prepared], run: RunConfig):
        """Begins to compile. The engine must not read other questions before these."""
        self._engine, self._run = engine, run
        self._questions = engine.filled(questions)
        self._compiled: Future[Program] = Future()
        # No daemon: Python must not end, after an error or Ctrl-C, while the compiler works.
        threading.Thread(target=self._run_thread).start()

    @staticmethod
    def serves(engine: Engine, run: RunConfig) -> bool:
        """Whether it decodes a run's answers from the first token on, in a process of its own.

        Pruning draws the first token by another program. Processes of a group compile in one order.
        """
        return jax.process_count() == 1 and not (run.prune.fraction or engine.hides_video)

    def program(self) -> Program:
        """Returns the program, once it is compiled; raises UserError where memory is too small."""
        return self._compiled.result()

    def _run_thread(self) -> None:
        try:
            self._compiled.set_result(self._compile())
        except BaseException as error:  # raised where the program is asked for
            self._compiled.set_exception(error)

    def _compile(self) -> Program:
        engine = self._engine
        rows = PromptRows.of([question.prompt for question in self._questions])
        capacity = engine.capacity(self._questions, rows, self._run.sampling.max_new_tokens)
        count, config = len(self._questions), engine.model.config.text
        cache = KVCache.of(jax.ShapeDtypeStruct, config, count, capacity, engine.dtype)
        cache = placed_shapes(cache, engine.mesh, count)
        seeds = np.zeros((count, 2), np.uint32)
        with engine.computing(capacity):
            started = engine.begin(cache, rows, self._run, seeds)
            lowered = decode_chunk.lower(
                engine.model.decoder,
                started.context,
                started.state,
                settings=started.settings,
                steps=ladder.DECODE_CHUNK,
            )
            return lowered.compile()
