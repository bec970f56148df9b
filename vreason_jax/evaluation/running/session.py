"""What `run.json` says of one session of a run: its devices, times and counts."""

import dataclasses
import time
from typing import Any

import jax
from jax.sharding import Mesh

from vreason_jax.engine.engine import Engine
from vreason_jax.evaluation.running.answering import Answering
from vreason_jax.evaluation.running.batches import Batches
from vreason_jax.evaluation.statistics.costs import peak_memory

_COUNTS = {
    "vision": "vision passes",
    "clip_prefill": "clips read",
    "question_prefill": "questions read",
    "answers": "answers",
}


@dataclasses.dataclass
class Session:
    """From the loaded model to the last line."""

    engine: Engine
    mesh: Mesh  # of all processes
    batches: Batches
    answering: Answering
    started: str  # in ISO format
    _began: float = dataclasses.field(default_factory=time.monotonic)
    _warm: tuple[float, float] | None = None  # time, and waiting, after the first batch

    def batch_done(self) -> None:
        """Notes that a batch is done; what comes before the first one's end is starting."""
        self._warm = self._warm or (time.monotonic(), self.batches.wait_seconds)

    def summary(self) -> str:
        """Returns the line for people: what was shared, and how long the device waited."""
        counts = ", ".join(f"{self._counts()[key]} {name}" for key, name in _COUNTS.items())
        waited, wall = self._waited()
        share = 100 * waited / wall if wall else 0.0
        return f"{counts}; waited for videos {share:.1f} % of {wall:.1f} s after the first batch"

    def facts(self) -> dict[str, Any]:
        """Returns the entry of `run.json`."""
        costs, loading = self.answering.costs, self.engine.loading
        spent, stages = self.engine.clock.snapshot(), self.engine.clock.stages
        return {
            "started": self.started,
            "process": jax.process_index(),
            "devices": [device.device_kind for device in self.mesh.devices.flat],
            "mesh": dict(self.mesh.shape),
            "batch_size": self.engine.batch_size,
            "seconds": {
                "load": loading["load"],
                "compile": loading["compile"] + spent["compile"],
                "video": self.batches.video_seconds,
                "video_wait": self.batches.wait_seconds,
                "vision": stages.get("vision", 0.0),
                "prefill": stages.get("prefill", 0.0),
                "decode": costs.seconds(),
                "wall": time.monotonic() - self._began,
            },
            "waited_after_first_batch": list(self._waited()),
            "counts": self._counts(),
            "programs": {
                "compiled": spent["programs"] - spent["from_cache"],
                "from_cache": spent["from_cache"],
            },
            "controller_share": costs.controller_share(),
            "controller_share_is_estimate": True,
            **peak_memory(list(self.engine.mesh.local_devices)),
        }

    def _counts(self) -> dict[str, int]:
        return {**self.engine.counts, "answers": self.answering.answers}

    def _waited(self) -> tuple[float, float]:
        """Returns seconds of waiting for clips after the first batch, and of how many."""
        if self._warm is None:
            return 0.0, 0.0
        at, waited = self._warm
        return self.batches.wait_seconds - waited, time.monotonic() - at
