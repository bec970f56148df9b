"""Greedy answers to validation questions, read and decoded as in an evaluation."""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig
from vreason_jax.engine.answer import LENGTH
from vreason_jax.engine.engine import Engine
from vreason_jax.families.model import Model
from vreason_jax.output.answer import extract_answer
from vreason_jax.questions import Prepared, Question, VideoArray
from vreason_jax.settings import apply_overrides
from vreason_jax.shapes import KINDS, Sample, sample
from vreason_jax.shapes.description import question_in_words
from vreason_jax.training.config import TrainConfig
from vreason_jax.training.plan import validation_picks

_CLOSED = ("</think>", "</answer>")


class Validation:
    """A fixed set of questions, prepared once."""

    def __init__(self, config: TrainConfig, checkpoint: Path):
        """Takes a checkpoint folder, which needs no weights."""
        overrides = {
            "controller.objective": "none",
            "sampling.max_new_tokens": config.run.max_new_tokens,
            "video.num_frames": config.data.frames,
        }
        self._batch, self._words = config.run.validate_batch, config.data.shown == "words"
        self._checkpoint = Checkpoint.open(checkpoint)
        self._run = apply_overrides(RunConfig(), overrides)
        self._samples = [
            sample("validation", pick.index, pick.kind, pick.level, frames=config.data.frames)
            for pick in validation_picks(config.run.validate_questions)
        ]
        self._questions = [self._prepare(sample) for sample in self._samples]

    def replies(self, model: Model, mesh: Mesh) -> list[tuple[str, int]]:
        """Returns the text and the number of tokens of each greedy reply."""
        size = max(1, self._batch // mesh.shape["data"])
        engine = Engine(self._checkpoint, model, mesh, batch_size=size)
        found = []
        for first in range(0, len(self._questions), engine.rows_per_batch):
            questions = self._questions[first : first + engine.rows_per_batch]
            batch = engine.read(questions, self._run.sampling.max_new_tokens)
            found += engine.answer(batch, self._run)
        return [(a.text, len(a.tokens.token) - (a.ended != LENGTH)) for a in found]

    def scores(self, model: Model, mesh: Mesh) -> dict[str, Any]:
        """Returns accuracy overall, by kind and by level, mean tokens, and share closed."""
        return score(self._samples, self.replies(model, mesh))

    def _prepare(self, sample: Sample) -> Prepared:
        media, text = (VideoArray(sample.frames, sample.fps),), sample.question
        if self._words:
            media, text = (), question_in_words(sample)
        question = Question(media, text, name=str(sample.index))
        return self._checkpoint.prepare(question, self._run)


def score(samples: Sequence[Sample], replies: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Returns accuracy overall, by kind and by level, mean tokens, and share of closed replies."""
    right = collections.defaultdict(list)
    for asked, (text, _) in zip(samples, replies, strict=True):
        correct = extract_answer(text) in (asked.answer, asked.answer_words)
        for key in ("accuracy", asked.kind, f"level {asked.level}"):
            right[key].append(correct)
    means = {key: round(float(np.mean(values)), 4) for key, values in right.items()}
    closed = [all(tag in text for tag in _CLOSED) for text, _ in replies]
    return {
        "accuracy": means.pop("accuracy"),
        "kinds": {kind: means[kind] for kind in KINDS if kind in means},
        "levels": {key[6:]: means[key] for key in sorted(means) if key.startswith("level")},
        "tokens": round(float(np.mean([count for _, count in replies])), 1),
        "closed": round(float(np.mean(closed)), 4),
    }
