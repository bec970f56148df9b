"""The patch grids of clips, kept so that a later run plans without reading the clips."""

from pathlib import Path

import numpy as np

from vreason_jax.evaluation.plan import Grid
from vreason_jax.evaluation.predictions import LineFile
from vreason_jax.runtime import distributed

FILE = "clips.jsonl"


class Grids:
    """`clips.jsonl` of a run's folder: the grid of every clip read so far."""

    def __init__(self, folder: Path):
        self._file = LineFile(folder / FILE)
        self.known: dict[str, Grid] = {
            line["clip"]: tuple(line["grid"]) for line in self._file.read() if "grid" in line
        }

    def share(self, clips: list[str]) -> None:
        """Shares the grids among all processes, which must plan alike."""
        mine = np.array([self.known.get(clip, (0, 0, 0)) for clip in clips], np.int32)
        everyone = distributed.largest(mine.reshape(-1, 3))
        grids = (tuple(map(int, grid)) for grid in everyone)
        self.known = {clip: grid for clip, grid in zip(clips, grids, strict=True) if any(grid)}

    def note(self, clip: str, grid: Grid, writes: bool) -> None:
        """Records the grid of a clip; only the writing process stores it."""
        if self.known.get(clip) != grid:
            self.known[clip] = grid
            if writes:
                self._file.append({"clip": clip, "grid": list(grid)})
