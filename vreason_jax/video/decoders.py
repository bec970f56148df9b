"""What the readers of videos have in common: a timeline, and the frames asked for of it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from vreason_jax.errors import one_line
from vreason_jax.video.timeline import Timeline


class DecodeError(Exception):
    """A reader cannot open the file or give a frame of it; the message is one line."""


class NotInstalledError(DecodeError):
    """The package of a reader is not there: no fault of the file, so worth no notice."""


class Frame(NamedTuple):
    """A decoded frame: `pixels` uint8 [h,w,3], upright, and the size in which a viewer shows it."""

    pixels: np.ndarray
    height: int
    width: int

    @classmethod
    def square(cls, pixels: np.ndarray) -> "Frame":
        """Returns a frame of square pixels, which is shown as it is stored."""
        return cls(pixels, pixels.shape[0], pixels.shape[1])


class Decoder(Protocol):
    """An open video: when its frames are shown, and `notices` for the user, a line each."""

    timeline: Timeline
    notices: list[str]

    def frames(self, indices: Iterable[int]) -> Iterator[Frame]:
        """Yields the frames at ascending `indices`; raises DecodeError."""
        ...


def gist(error: Exception) -> str:
    """Returns the first full line of an exception, without decord's stack and build paths."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    # decord opens with "[12:00:00] /path/of/its/build/file.cc:123: ".
    return one_line(text.split(".cc:", 1)[-1].split(": ", 1)[-1] if ".cc:" in text else text)
