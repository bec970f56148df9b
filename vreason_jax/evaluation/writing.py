"""From replies to lines: scored, with their traces on the disk before them."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.evaluation.predictions import Predictions
from vreason_jax.evaluation.protocol import Protocol
from vreason_jax.evaluation.record import Record
from vreason_jax.evaluation.reply import Reply
from vreason_jax.evaluation.scoring import score
from vreason_jax.evaluation.setup import Task
from vreason_jax.output.files import write_atomic

STAGES = ("video", "vision", "prefill", "decode")
TRACES = "traces"


class Writer:
    """Turns answers of one model into lines of `predictions.jsonl`."""

    def __init__(
        self, folder: Path, predictions: Predictions, protocol: Protocol, model: str, writes: bool
    ):
        """A process that does not write still notes what is done, to stay in step."""
        self._folder, self._predictions = folder, predictions
        self._protocol, self._model, self._writes = protocol, model, writes

    def reply(self, record: Record, task: Task, reply: Reply, seconds: Mapping[str, float]) -> None:
        """Writes the trace of a reply, then its line."""
        scored = score(record, reply.text, self._protocol)
        status = "truncated" if reply.truncated else "ok" if scored.answered else "no_answer"
        trace = trace_name(record.id, task.method, task.seed)
        if self._writes:
            _write_trace(self._folder / TRACES / trace, reply)
        self._add(
            record,
            task,
            status,
            text=reply.text,
            answer=scored.prediction if scored.answered else None,
            score=scored.score,
            score_lenient=scored.score_lenient,
            tokens=len(reply.token_ids),
            seconds=seconds,
            probability=reply.answer_probability,
            trace=trace,
        )

    def failure(self, record: Record, task: Task, status: str) -> None:
        """Writes the line of a question whose video could not be read."""
        self._add(record, task, status, score=0.0, score_lenient=0.0, tokens=0)

    def _add(
        self,
        record: Record,
        task: Task,
        status: str,
        *,
        text: str = "",
        answer: str | None = None,
        seconds: Mapping[str, float] | None = None,
        probability: float | None = None,
        trace: str | None = None,
        **fields: Any,
    ) -> None:
        spent = seconds or {}
        line = {
            "id": record.id,
            "benchmark": record.benchmark,
            "model": self._model,
            "method": task.method,
            "seed": task.seed,
            "status": status,
            "text": text,
            "answer": answer,
            "gold": record.gold,
            **fields,
            "seconds": {stage: round(spent.get(stage, 0.0), 6) for stage in STAGES},
            "config_hash": task.config_hash,
            "task": record.task,
            "subset": record.subset,
            "video": record.video,
            "kind": record.kind,
            "answer_probability": probability,
            "trace": trace,
        }
        if self._writes:
            self._predictions.add(line)
        else:
            self._predictions.done.add(task.key(record))


def trace_name(question: str, method: str, seed: int) -> str:
    """Returns a file name of plain characters, another for every answer."""
    full = f"{question}-{method}-{seed}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", full).lstrip(".")[:120]
    digest = hashlib.blake2b(full.encode(errors="surrogateescape"), digest_size=6).hexdigest()
    return f"{plain}-{digest}.npz"


def _write_trace(path: Path, reply: Reply) -> None:
    arrays: dict[str, Any] = {key: np.asarray(a) for key, a in reply.trace._asdict().items()}
    arrays["token_ids"] = arrays.pop("token")
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))
