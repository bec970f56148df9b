"""The patch grids of clips that have been read, kept, so that a later run plans without reading."""

from pathlib import Path

import numpy as np

from vreason_jax.evaluation.plan import Grid
from vreason_jax.evaluation.predictions import LineFile
from vreason_jax.runtime import distributed

FILE = "clips.jsonl"


class Grids:
    """`clips.jsonl` of a run's folder: the grid of every clip that has been read."""

    def __init__(self, folder: Path):
        self._file = LineFile(folder / FILE)
        self.known: dict[str, Grid] = {
            line["clip"]: tuple(line["grid"]) for line in self._file.read() if "grid" in line
        }

    def share(self, clips: list[str]) -> None:
        """Makes all processes know what any of them does, for they must plan alike."""
        mine = np.array([self.known.get(clip, (0, 0, 0)) for clip in clips], np.int32)
        everyone = distributed.largest(mine.reshape(-1, 3))
        grids = (tuple(map(int, grid)) for grid in everyone)
        self.known = {clip: grid for clip, grid in zip(clips, grids, strict=True) if any(grid)}

    def note(self, clip: str, grid: Grid, writes: bool) -> None:
        """Keeps the grid of a clip; a process that does not write only knows it."""
        if self.known.get(clip) != grid:
            self.known[clip] = grid
            if writes:
                self._file.append({"clip": clip, "grid": list(grid)})
