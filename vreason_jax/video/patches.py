"""Frames as the vision tower takes them: normalised, cut into patches, in block order."""

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


@dataclasses.dataclass(frozen=True)
class Patches:
    """One medium, ready for the vision tower.

    `values` float32 [P,1176]: row order is time, block row, block column, then row and column
    inside the 2x2 block; a row holds (channel, frame of the pair, y, x). `grid` is (t, h, w), in
    patches, with P = t*h*w.
    """

    values: np.ndarray  # [P, 1176]
    grid: tuple[int, int, int]


CLIP_NORMALIZATION = Normalization()


def patchify(frames: np.ndarray, normalization: Normalization = CLIP_NORMALIZATION) -> Patches:
    """Returns the patches of uint8 frames [F,h,w,3] whose sides are multiples of 28.

    An odd count is made even by repeating the last frame, so an image becomes a pair of itself.
    Bit-identical to transformers' Qwen2-VL processors on frames that are already resized.
    """
    if len(frames) % FRAMES_PER_GRID:
        frames = np.concatenate([frames, frames[-1:]])
    time, rows, columns = len(frames) // FRAMES_PER_GRID, *(n // PATCH for n in frames.shape[1:3])
    # [t, pair, block row, row, y, block column, column, x, channel]
    split = (time, FRAMES_PER_GRID, rows // MERGE, MERGE, PATCH, columns // MERGE, MERGE, PATCH, 3)
    cut = frames.reshape(split).transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    values = _normalize(cut, normalization).reshape(time * rows * columns, -1)
    return Patches(values, (time, rows, columns))


def second_per_grid(clip: Clip) -> float:
    """Returns the seconds of video that one temporal patch (two sampled frames) spans."""
    return FRAMES_PER_GRID / clip.fps


def _normalize(cut: np.ndarray, normalization: Normalization) -> np.ndarray:
    # The scaling by 1/255 is folded into mean and std as transformers does: other orders of the
    # same arithmetic differ in the last bit.
    per_channel = (3, 1, 1, 1)  # against [..., channel, pair, y, x]
    mean = (np.asarray(normalization.mean, np.float32) * np.float32(255)).reshape(per_channel)
    std = (np.asarray(normalization.std, np.float32) * np.float32(255)).reshape(per_channel)
    values = cut.astype(np.float32, order="C")
    values -= mean
    values /= std
    return values
