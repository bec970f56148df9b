"""How a model's pictures are cut: frames into patches, patches into tokens."""

import dataclasses
import math
from collections.abc import Sequence

CHANNELS = 3  # red, green and blue


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The sizes of a patch, and of a token made of several. Grids are (t, h, w)."""

    patch_pixels: int  # along each side
    merge: int  # patches of a token along each side
    temporal_patch: int  # frames of a patch

    @property
    def token_pixels(self) -> int:
        """Pixels of a token along each side; the sides of frames are multiples of it."""
        return self.patch_pixels * self.merge

    @property
    def patch_values(self) -> int:
        """Numbers in one flattened patch: channels x frames x pixels x pixels."""
        return CHANNELS * self.temporal_patch * self.patch_pixels**2

    def tokens(self, grid: Sequence[int]) -> int:
        """Returns how many tokens stand for a grid of patches."""
        return math.prod(self.token_grid(grid))

    def token_grid(self, grid: Sequence[int]) -> tuple[int, int, int]:
        """Returns the grid in tokens of a grid in patches, whose sides are multiples of `merge`."""
        time, height, width = grid
        return time, height // self.merge, width // self.merge
