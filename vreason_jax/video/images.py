"""Still images, and videos of them: folders of frames, and animations only Pillow can read."""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vreason_jax.errors import UserError
from vreason_jax.video.decoders import DecodeError, Frame, gist
from vreason_jax.video.names import natural_key
from vreason_jax.video.pixels import WHITE, to_rgb
from vreason_jax.video.timeline import Timeline

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
UNREADABLE = (  # what Pillow's plugins raise for a damaged file
    OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class FolderDecoder:
    """A folder of images at `fps` a second, in the natural order of their names."""

    def __init__(self, path: str, fps: float):
        self._files = sorted(
            (
                file
                for file in Path(path).iterdir()
                if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
            ),
            key=lambda file: natural_key(file.name),
        )
        if not self._files:
            raise UserError("expected frames named *.png or *.jpg in the folder, found none")
        self.timeline = Timeline.even(len(self._files), fps)
        self.notices: list[str] = []

    def frames(self, indices: Iterable[int]) -> Iterator[Frame]:
        """Yields the images at `indices`, which must have one size; others are not opened."""
        first = None
        for file in (self._files[index] for index in indices):
            image = self._load(file, to_rgb)
            first = first or (file.name, image.size)
            if image.size != first[1]:
                raise UserError(
                    f"expected frames of one size, {first[0]} has {first[1][0]}x{first[1][1]} and "
                    f"{file.name} {image.width}x{image.height} pixels"
                )
            yield Frame.square(np.asarray(image))

    def _load(self, file: Path, use):
        try:
            if not file.is_file():
                raise OSError("it is no regular file")
            with Image.open(file) as image:
                return use(image)
        except UNREADABLE as error:
            raise UserError(f"cannot read frame {file.name}: {gist(error)}") from None


class AnimationDecoder:
    """An animated WebP, of which FFmpeg shows no more than the first frame, by Pillow."""

    def __init__(self, path: str):
        self.notices: list[str] = []
        try:
            self._image = Image.open(_marked_transparent(path))
            durations = [self._seek(n) for n in range(getattr(self._image, "n_frames", 1))]
        except UNREADABLE as error:
            raise DecodeError(f"Pillow: {gist(error)}") from None
        begins = np.cumsum([0.0, *durations])
        self.timeline = Timeline(begins[:-1], float(begins[-1]), len(durations) / begins[-1])

    def frames(self, indices: Iterable[int]) -> Iterator[Frame]:
        """Yields the frames at `indices`."""
        try:
            for index in indices:
                self._seek(int(index))
                yield Frame.square(np.asarray(to_rgb(self._image)))
        except UNREADABLE as error:
            raise DecodeError(f"Pillow: {gist(error)}") from None

    def _seek(self, number: int) -> float:
        """Shows a frame; returns its seconds: a tenth where it has none, as browsers do."""
        self._image.seek(number)
        self._image.load()
        return (self._image.info.get("duration", 0) / 1000) or 0.1


def read_still(path: str) -> Image.Image:
    """Returns an image in RGB as a viewer shows it; of an animation the first frame.

    What that frame does not cover is white, or a GIF's background colour where videos have it too.
    Raises one of UNREADABLE.
    """
    with Image.open(_marked_transparent(path) if is_animated_webp(path) else path) as image:
        if image.format != "GIF":
            return to_rgb(image)
        covered = image.tile[0].extents
        canvas = Image.new("RGB", image.size, _backdrop(image))
        canvas.paste(to_rgb(image).crop(covered), covered)
        return canvas


def _backdrop(gif: Any) -> tuple[int, ...]:
    """What FFmpeg lays behind the first frame: the background colour, or white for transparent."""
    place = gif.info.get("background")
    if place is None or "transparency" in gif.info:
        return (WHITE,) * 3
    if gif.global_palette is None:  # Pillow's name for a ramp of greys
        return (place,) * 3
    return tuple(gif.global_palette.palette[3 * place : 3 * place + 3]) or (WHITE,) * 3


def is_animated_webp(path: str) -> bool:
    """Returns whether the header of a file is that of a WebP with the animation flag."""
    with open(path, "rb") as file:
        start = file.read(21)
    is_webp = len(start) == 21 and start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X"
    return is_webp and bool(start[20] & 2)


def _marked_transparent(path: str) -> io.BytesIO:
    """Returns an animated WebP that is said to hold transparency (the flag of its VP8X chunk).

    Without it Pillow drops alpha, and what no frame covers of the canvas would be black.
    """
    data = bytearray(Path(path).read_bytes())
    data[20] |= 0x10
    return io.BytesIO(data)
