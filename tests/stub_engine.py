"""`evaluate` without a model: clips are read, or fail, and answers are given as a test wants them.

All else is the program's own: flags, folder, plan, claims, lines.
"""

import functools
import logging
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vreason_jax import evaluate
from vreason_jax.checkpoint import Checkpoint
from vreason_jax.decoding.state import TokenTrace
from vreason_jax.engine.answer import END, Answer
from vreason_jax.evaluation.running.batches import Batches
from vreason_jax.evaluation.running.evaluation import Evaluation
from vreason_jax.evaluation.running.plan import clip_key
from vreason_jax.evaluation.running.videos import ReadClip

GRID = (2, 4, 4)


class StubEngine:
    """Answers with the question's name, the method's objective and the seed."""

    def __init__(self, rows: int, warn, told):
        self.loading = {"load": 0.0, "compile": 0.0}
        self.batch_size = self.rows_per_batch = rows
        self.warn, self._told = warn, told
        self.counts = dict.fromkeys(("vision", "clip_prefill", "question_prefill", "answers"), 0)
        snapshot = dict.fromkeys(("compile", "programs", "from_cache"), 0)
        self.clock = types.SimpleNamespace(stages={}, snapshot=lambda: snapshot)
        self.mesh = types.SimpleNamespace(local_devices=[])

    def read(self, prepared, tokens):
        return types.SimpleNamespace(
            names=[each.name for each in prepared], cache=types.SimpleNamespace(capacity=512)
        )

    def answer(self, read, run):
        self._told(read.names)
        tokens = TokenTrace(*(np.zeros(3, np.float32) for _ in TokenTrace._fields))
        said = f"{run.controller.objective} {run.sampling.seed}"
        return [Answer(f"{name} {said}", tokens, END, None) for name in read.names]


class Stub:
    """Runs of `evaluate`; `broken` are the clips that cannot be read: "test-000000"."""

    def __init__(self, patch: pytest.MonkeyPatch, model: Path):
        self.broken: set[str] = set()
        self.before_answer = lambda names: None
        self._model = model
        patch.setattr(logging.root.manager, "disable", logging.root.manager.disable)
        patch.setattr(Checkpoint, "open", functools.cache(Checkpoint.open))
        patch.setattr(Batches, "_read", lambda _, group: self._read(group))
        patch.setattr(Evaluation, "_load", lambda run: self._load(run))
        patch.setattr(Evaluation, "finish", lambda run: None)

    def __call__(self, *flags) -> int:
        """Returns the exit code."""
        given = ["--model", self._model, "--batch-size", 2, "--mesh", "data=1", *flags]
        return evaluate.main(list(map(str, given)))

    def _read(self, group):
        if clip_key(group[0])[: len("test-000000")] in self.broken:
            return ReadClip("missing_video", "gone", 0.0)
        media: Any = types.SimpleNamespace(patches=[types.SimpleNamespace(grid=GRID)])
        asked: Any = tuple(types.SimpleNamespace(name=r.id, media=media) for r in group)
        return ReadClip(None, "", 0.0, asked)

    def _load(self, run):
        return StubEngine(
            run.setup.request.batch_size, run._warn, lambda names: self.before_answer(names)
        )
