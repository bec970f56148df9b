"""From replies to lines, scored, with their traces on the disk before them."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.engine.answer import LENGTH, NOT_FINITE, Answer
from vreason_jax.evaluation.benchmarks.record import Record, digest_of
from vreason_jax.evaluation.results.lines import STAGES, Line
from vreason_jax.evaluation.results.run_folder import TRACES, RunFolder
from vreason_jax.evaluation.running.comparison import Distance
from vreason_jax.evaluation.running.setup import Task
from vreason_jax.evaluation.scoring.protocol import Protocol
from vreason_jax.evaluation.scoring.score import score
from vreason_jax.evaluation.statistics.curves import read_trace
from vreason_jax.output.files import write_atomic

_STATUS = {LENGTH: "truncated", NOT_FINITE: NOT_FINITE}


class Writer:
    """Makes lines of `predictions.jsonl` of the answers of one model."""

    def __init__(self, folder: RunFolder, protocol: Protocol, model: str, first: str):
        """`first` is the method that the others are compared with."""
        self._folder, self._protocol = folder, protocol
        self._model, self._first = model, first
        self._first_replies: dict[tuple[str, int], int] = {}  # by question and seed

    def answer(
        self,
        record: Record,
        task: Task,
        answer: Answer,
        seconds: Mapping[str, float],
        distance: Distance | None = None,
    ) -> Line:
        """Writes the trace of an answer; returns its line."""
        scored = score(record, answer.text, self._protocol, truncated=answer.ended == LENGTH)
        status = _STATUS.get(answer.ended, "ok" if scored.answered else "no_answer")
        trace = trace_name(record.id, task.method, task.seed)
        if self._folder.writes:
            _write_trace(self._folder.path / TRACES / trace, answer)
        return dataclasses.replace(
            self.failure(record, task, status),
            text=answer.text,
            answer=scored.prediction if scored.answered else None,
            score=scored.score,
            score_lenient=scored.score_lenient,
            tokens=len(answer.tokens.token),
            seconds={stage: round(seconds.get(stage, 0.0), 6) for stage in STAGES},
            answer_probability=answer.answer_probability,
            trace=trace,
            entropy=_mean_entropy(answer),
            changed=self._changed(record, task, answer),
            **(_finite(distance) if distance else {}),
        )

    def failure(self, record: Record, task: Task, status: str) -> Line:
        """Returns the line of a question whose video could not be read."""
        shared = ("id", "benchmark", "gold", "task", "subset", "video", "kind")
        return Line(
            **{key: getattr(record, key) for key in shared},
            model=self._model,
            method=task.method,
            seed=task.seed,
            status=status,
            text="",
            answer=None,
            score=0.0,
            score_lenient=0.0,
            tokens=0,
            seconds=dict.fromkeys(STAGES, 0.0),
            config_hash=task.config_hash,
        )

    def _changed(self, record: Record, task: Task, answer: Answer) -> bool | None:
        """Whether the tokens are other than the first method's; None where those are not there."""
        key, tokens = (record.id, task.seed), _hash(answer.tokens.token)
        if task.method == self._first:
            self._first_replies[key] = tokens
            return None
        if key not in self._first_replies:  # it was given in an earlier session
            path = self._folder.path / TRACES / trace_name(record.id, self._first, task.seed)
            trace = read_trace(path, ["token_ids"])
            if trace is None:
                return None
            self._first_replies[key] = _hash(trace["token_ids"])
        return tokens != self._first_replies[key]


def _finite(distance: Distance) -> dict[str, float]:
    """Leaves out what a failed model made no number."""
    return {key: value for key, value in distance._asdict().items() if math.isfinite(value)}


def _hash(tokens: np.ndarray) -> int:
    return hash(tokens.astype(np.int32).tobytes())


def trace_name(question: str, method: str, seed: int) -> str:
    """Returns a file name of plain characters, another for every answer."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{question}-{method}-{seed}").lstrip(".")[:120]
    whole = json.dumps([question, method, seed])
    return f"{plain}-{digest_of(whole, 6).hex()}.npz"


def _mean_entropy(answer: Answer) -> float | None:
    entropy = answer.tokens.entropy[np.isfinite(answer.tokens.entropy)]
    return float(np.mean(entropy)) if len(entropy) else None


def _write_trace(path: Path, answer: Answer) -> None:
    arrays: dict[str, Any] = answer.arrays()
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))
