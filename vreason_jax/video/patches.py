"""Frames as the vision tower takes them: cut into patches, in block order, and what normalises."""

import dataclasses

import numpy as np

from vreason_jax.geometry import CHANNELS, Geometry
from vreason_jax.video.reader import Clip


@dataclasses.dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of red, green and blue on the scale 0..1; CLIP's by default."""

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


CLIP_NORMALIZATION = Normalization()


@dataclasses.dataclass(frozen=True)
class Patches:
    """One medium, ready for the vision tower, which normalises it: bytes are all that travels.

    `values` [P, patch values], P = t*h*w for `grid` (t, h, w) in patches: row order is time, block
    row, block column, then row and column inside the block that becomes a token; a row holds
    (channel, frame of the patch, y, x).
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


def patchify(
    frames: np.ndarray, geometry: Geometry, normalization: Normalization = CLIP_NORMALIZATION
) -> Patches:
    """Returns the patches of uint8 frames [F,h,w,3] whose sides are multiples of a token's.

    A last patch that lacks frames repeats the last one, so an image becomes a pair of itself.
    Normalised they are bit-identical to those of transformers' processors on frames that are
    already resized.
    """
    depth, merge, pixels = geometry.temporal_patch, geometry.merge, geometry.patch_pixels
    missing = -len(frames) % depth
    frames = np.concatenate([frames, *[frames[-1:]] * missing]) if missing else frames
    time, rows, columns = len(frames) // depth, *(n // pixels for n in frames.shape[1:3])
    # [t, frame of the patch, block row, row, y, block column, column, x, channel]
    split = (time, depth, rows // merge, merge, pixels, columns // merge, merge, pixels, CHANNELS)
    cut = frames.reshape(split).transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    values = cut.reshape(time * rows * columns, -1)
    return Patches(values, (time, rows, columns), normalization)


def patch_times(clip: Clip, geometry: Geometry) -> tuple[float, ...]:
    """Returns the middle of each temporal patch: half-way from its first frame to its last."""
    depth, times = geometry.temporal_patch, clip.times.tolist()
    times += times[-1:] * (-len(times) % depth)
    ends = zip(times[::depth], times[depth - 1 :: depth], strict=True)
    return tuple((first + last) / 2 for first, last in ends)


def second_per_grid(clip: Clip, geometry: Geometry) -> float:
    """Returns the seconds of video that one temporal patch spans."""
    return geometry.temporal_patch / clip.fps
