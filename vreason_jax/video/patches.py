"""Frames as the vision tower takes them: cut into patches, in block order, and what normalises."""

import dataclasses

import numpy as np

from vreason_jax.video.reader import Clip
from vreason_jax.video.sampling import FRAMES_PER_GRID

PATCH = 14  # pixels
MERGE = 2  # patches of a merged token along each side


@dataclasses.dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of red, green and blue on the scale 0..1; CLIP's by default."""

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


CLIP_NORMALIZATION = Normalization()


@dataclasses.dataclass(frozen=True)
class Patches:
    """One medium, ready for the vision tower, which normalises it: bytes are all that travels.

    `values` [P, 1176], P = t*h*w for `grid` (t, h, w) in patches: row order is time, block row,
    block column, then row and column inside the 2x2 block; a row holds (channel, frame of the
    pair, y, x).
    """

    values: np.ndarray  # uint8, or float32 that is normalised already
    grid: tuple[int, int, int]
    normalization: Normalization = CLIP_NORMALIZATION

    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and deviation [3] float32 of each channel, on the scale of the values.

        The scaling by 1/255 is folded into them as transformers does: other orders of the same
        arithmetic differ in the last bit.
        """
        if self.values.dtype != np.uint8:
            return np.zeros(3, np.float32), np.ones(3, np.float32)
        numbers = self.normalization.mean, self.normalization.std
        mean, std = (np.asarray(a, np.float32) * np.float32(255) for a in numbers)
        return mean, std

    def normalised(self) -> np.ndarray:
        """Returns the values as transformers' processors give them, float32."""
        mean, std = (a[:, None] for a in self.scales())
        values = self.values.astype(np.float32).reshape(len(self.values), 3, -1)
        values -= mean
        values /= std
        return values.reshape(self.values.shape)


def patchify(frames: np.ndarray, normalization: Normalization = CLIP_NORMALIZATION) -> Patches:
    """Returns the patches of uint8 frames [F,h,w,3] whose sides are multiples of 28.

    An odd count is made even by repeating the last frame, so an image becomes a pair of itself.
    Normalised they are bit-identical to those of transformers' Qwen2-VL processors on frames that
    are already resized.
    """
    if len(frames) % FRAMES_PER_GRID:
        frames = np.concatenate([frames, frames[-1:]])
    time, rows, columns = len(frames) // FRAMES_PER_GRID, *(n // PATCH for n in frames.shape[1:3])
    # [t, pair, block row, row, y, block column, column, x, channel]
    split = (time, FRAMES_PER_GRID, rows // MERGE, MERGE, PATCH, columns // MERGE, MERGE, PATCH, 3)
    cut = frames.reshape(split).transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    values = cut.reshape(time * rows * columns, -1)
    return Patches(values, (time, rows, columns), normalization)


def second_per_grid(clip: Clip) -> float:
    """Returns the seconds of video that one temporal patch (two sampled frames) spans."""
    return FRAMES_PER_GRID / clip.fps
