"""How large frames become: the limits, the rule for the sides, and the resampling."""

import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image

from vreason_jax.errors import UserError
from vreason_jax.geometry import Geometry

MAX_ASPECT_RATIO = 200
MOST_BYTES = 3 * 2**30  # of the frames of a clip; half of what a decoding process may have


@dataclasses.dataclass(frozen=True)
class PixelLimits:
    """How few and how many pixels (height times width) a frame may have after resizing."""

    min_pixels: int
    max_pixels: int

    def __post_init__(self):
        if not 0 < self.min_pixels <= self.max_pixels:
            raise UserError(
                "pixel limits: expected 0 < min_pixels <= max_pixels, got "
                f"min_pixels={self.min_pixels}, max_pixels={self.max_pixels}"
            )


@dataclasses.dataclass(frozen=True)
class Sizing:
    """How large frames become for one model, under limits of a frame or of a whole clip."""

    geometry: Geometry
    limits: PixelLimits
    whole_clip: bool = False

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Sizing":
        """Returns the sizing that `dataclasses.asdict` made plain values of."""
        geometry, limits = Geometry(**values["geometry"]), PixelLimits(**values["limits"])
        return cls(geometry, limits, values["whole_clip"])

    def sides(self, height: int, width: int, frames: int = 1) -> tuple[int, int]:
        """Returns the height and width in pixels that so many frames are resized to."""
        if self.whole_clip:
            return clip_resize(frames, height, width, self.limits, self.geometry)
        return smart_resize(height, width, self.limits, self.geometry.token_pixels)

    def frame_limits(self, frames: int) -> PixelLimits:
        """Returns the limits for each of so many frames, about."""
        if not self.whole_clip:
            return self.limits
        low, high = (max(1, n // frames) for n in dataclasses.astuple(self.limits))
        return PixelLimits(low, high)


def clip_resize(
    frames: int, height: int, width: int, limits: PixelLimits, geometry: Geometry
) -> tuple[int, int]:
    """Returns the height and width in pixels that the frames of a clip are resized to.

    As `smart_resize`, but for limits of all its frames together. Same results as smart_resize of
    transformers' video processor for Qwen3-VL.
    """
    unit, depth = geometry.token_pixels, geometry.temporal_patch
    frames = max(frames, depth)
    if min(height, width) < 1:
        check_sides(height, width)
    if min(height, width) < unit:
        scale = max(unit / height, unit / width)
        height, width = int(height * scale), int(width * scale)
    check_sides(height, width)
    sides = [round(side / unit) * unit for side in (height, width)]
    volume = round(frames / depth) * depth * sides[0] * sides[1]
    if volume > limits.max_pixels:
        shrink = math.sqrt(frames * height * width / limits.max_pixels)
        sides = [max(unit, math.floor(side / shrink / unit) * unit) for side in (height, width)]
    elif volume < limits.min_pixels:
        grow = math.sqrt(limits.min_pixels / (frames * height * width))
        sides = [math.ceil(side * grow / unit) * unit for side in (height, width)]
    return sides[0], sides[1]


def check_sides(height: int, width: int) -> None:
    """Raises UserError for a frame more than 200 times as long as wide."""
    if min(height, width) < 1 or max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise UserError(
            f"expected frames with an aspect ratio of at most {MAX_ASPECT_RATIO}, "
            f"got {width}x{height} pixels"
        )


def smart_resize(height: int, width: int, limits: PixelLimits, unit: int) -> tuple[int, int]:
    """Returns the height and width in pixels, multiples of `unit`, that a frame is resized to.

    Sides go to the nearest multiple (half to even); an area outside the limits is scaled back to
    them from the original sides. Same results as smart_resize of transformers and qwen-vl-utils.
    Raises UserError for a frame more than 200 times as long as wide.
    """
    check_sides(height, width)
    sides = [max(unit, round(side / unit) * unit) for side in (height, width)]
    area = sides[0] * sides[1]
    if area > limits.max_pixels:
        shrink = math.sqrt(height * width / limits.max_pixels)
        sides = [max(unit, math.floor(side / shrink / unit) * unit) for side in (height, width)]
    elif area < limits.min_pixels:
        grow = math.sqrt(limits.min_pixels / (height * width))
        sides = [math.ceil(side * grow / unit) * unit for side in (height, width)]
    return sides[0], sides[1]


def check_room(count: int, height: int, width: int) -> None:
    """Raises UserError where so many resized frames take too much memory; it names the settings."""
    needed = 3 * count * height * width
    if needed > MOST_BYTES:
        raise UserError(
            f"{count} frames of {width}x{height} pixels take {needed / 1e9:.2g} GB, expected at "
            f"most {MOST_BYTES / 1e9:.2g}; lower video.min_pixels, video.max_pixels, "
            "video.num_frames or video.max_frames, or for an image the checkpoint's own limits"
        )


def resize_frames(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns `frames` uint8 [F,h,w,3] as uint8 [F,height,width,3]; the same size is a no-op.

    Antialiased bicubic in float32, then rounded half to even and clipped: what torchvision's tensor
    resize does for qwen-vl-utils (PIL on 8-bit RGB rounds between its two passes and differs).
    """
    if frames.shape[1:3] == (height, width):
        return frames
    resized = np.empty((len(frames), height, width, 3), np.uint8)
    for frame, target in zip(frames, resized, strict=True):
        for channel in range(3):
            plane = Image.fromarray(frame[..., channel].astype(np.float32))
            plane = plane.resize((width, height), Image.Resampling.BICUBIC)
            target[..., channel] = np.clip(np.rint(np.asarray(plane)), 0, 255)
    return resized


def resize_image(image: Image.Image, sizing: Sizing) -> np.ndarray:
    """Returns an RGB image as uint8 [1,h,w,3] in its size, resized as qwen-vl-utils does.

    It resizes images with PIL on 8-bit RGB, unlike videos.
    """
    height, width = sizing.sides(image.height, image.width)
    check_room(1, height, width)
    if (image.height, image.width) != (height, width):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)[None]
