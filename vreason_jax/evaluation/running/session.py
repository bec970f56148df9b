"""One session of a run: from the loaded model to its last line, and what it says of itself."""

import datetime
import time
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from vreason_jax.engine.engine import Engine
from vreason_jax.evaluation.results.grids import Grids
from vreason_jax.evaluation.results.predictions import Predictions
from vreason_jax.evaluation.results.run_file import RunFile
from vreason_jax.evaluation.running.run import Evaluation
from vreason_jax.evaluation.running.setup import Setup
from vreason_jax.evaluation.statistics.costs import peak_memory
from vreason_jax.runtime.replicas import Replicas
from vreason_jax.runtime.stopping import Stop

_NOTED_EVERY = 10.0  # seconds; what a kill can lose of the times
_COUNTS = {
    "vision": "vision passes",
    "clip_prefill": "clips read",
    "question_prefill": "questions read",
    "answers": "answers",
}


class Session:
    """Answers this process's share, and notes in `run.json` what it took."""

    def __init__(
        self,
        setup: Setup,
        engine: Engine,
        replicas: Replicas,
        whole_mesh: Mesh,
        *,
        batch_size: int,
        predictions: Predictions,
        grids: Grids,
        folder: Path,
        first: str,
        stop: Stop,
    ):
        """`first` is the method that the others are compared with."""
        self._engine, self._replicas, self._whole_mesh = engine, replicas, whole_mesh
        self._batch_size, self._file = batch_size, RunFile(folder)
        self._evaluation = Evaluation(
            setup, engine, replicas, predictions, grids, folder, first, engine.warn, stop
        )
        self._started = datetime.datetime.now(datetime.UTC).isoformat()
        self._began = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Answers to the end; returns what `run.json` says of this session."""
        noted = float("-inf")
        for _ in self._evaluation.run():
            if time.monotonic() - noted >= _NOTED_EVERY:
                noted = time.monotonic()
                self._note()
        return self._note()

    def summary(self, facts: dict[str, Any]) -> str:
        """Returns the line for people: what was shared, and how long the device waited."""
        counts = ", ".join(f"{facts['counts'][key]} {name}" for key, name in _COUNTS.items())
        waited, wall = facts["waited_after_first_batch"]
        share = 100 * waited / wall if wall else 0.0
        return f"{counts}; waited for videos {share:.1f} % of {wall:.1f} s after the first batch"

    def _note(self) -> dict[str, Any]:
        facts = self._facts()
        if self._replicas.is_first:
            self._file.note(facts)
        return facts

    def _facts(self) -> dict[str, Any]:
        evaluation, stages = self._evaluation, self._engine.clock.stages
        counts = {**self._engine.counts, "answers": evaluation.answers}
        loading, spent = self._engine.loading, self._engine.clock.snapshot()
        return {
            "started": self._started,
            "process": jax.process_index(),
            "devices": [device.device_kind for device in self._whole_mesh.devices.flat],
            "mesh": dict(self._whole_mesh.shape),
            "batch_size": self._batch_size,
            "seconds": {
                "load": loading["load"],
                "compile": loading["compile"] + spent["compile"],
                "video": evaluation.batches.video_seconds,
                "video_wait": evaluation.batches.wait_seconds,
                "vision": stages.get("vision", 0.0),
                "prefill": stages.get("prefill", 0.0),
                "decode": evaluation.costs.seconds(),
                "wall": time.monotonic() - self._began,
            },
            "waited_after_first_batch": list(evaluation.waited()),
            "counts": counts,
            "programs": {
                "compiled": spent["programs"] - spent["from_cache"],
                "from_cache": spent["from_cache"],
            },
            "controller_share": evaluation.costs.controller_share(),
            "controller_share_is_estimate": True,
            **peak_memory(list(self._engine.mesh.local_devices)),
        }
