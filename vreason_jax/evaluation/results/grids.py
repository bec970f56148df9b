"""The patch grids of clips, kept so that a later run plans without reading the clips."""

from pathlib import Path
from typing import Any

import numpy as np

from vreason_jax.evaluation.results.predictions import LineFile
from vreason_jax.evaluation.running.plan import Grid
from vreason_jax.runtime import distributed

FILE = "clips.jsonl"


class Grids:
    """`clips.jsonl` of a run's folder: the grid of every clip read so far."""

    def __init__(self, folder: Path):
        self._file = LineFile(folder / FILE)
        lines = filter(_is_grid, self._file.read())
        self.known: dict[str, Grid] = {line["clip"]: tuple(line["grid"]) for line in lines}

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


def _is_grid(line: dict[str, Any]) -> bool:
    """Whether a line is one of this program's; without it the clip is read to know its grid."""
    clip, grid = line.get("clip"), line.get("grid")
    return (
        isinstance(clip, str)
        and isinstance(grid, list)
        and len(grid) == 3
        and all(type(n) is int and 0 < n < 2**31 for n in grid)
    )
