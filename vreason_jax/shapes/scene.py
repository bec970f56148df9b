"""The content of a clip: things with a shape, and their place, size and colour in each frame."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

# 3 x 4 merged tokens of 28 pixels: one cell of the words in `words` is one token of the model, and
# with windows of 56 pixels the four windows hold 4, 4, 2 and 2 of them.
HEIGHT, WIDTH, CELL = 84, 112, 28
ROWS, COLUMNS = HEIGHT // CELL, WIDTH // CELL
WINDOW_SIZE = 56

FPS = 2.0  # so that one temporal patch, two frames, is one second
FRAMES = 16
MIN_FRAMES, MAX_FRAMES = 16, 20  # seconds stay one digit

SHAPES: tuple[str, ...] = ("circle", "square", "triangle")
COLOURS: tuple[str, ...] = ("red", "green", "blue", "yellow", "purple", "cyan")
RGB = {
    "red": (232, 48, 48),
    "green": (44, 178, 72),
    "blue": (58, 98, 244),
    "yellow": (246, 212, 44),
    "purple": (196, 62, 214),
    "cyan": (56, 208, 220),
    "white": (250, 250, 250),
    "gray": (128, 130, 134),
}
BACKGROUNDS = ((26, 28, 36), (18, 30, 34), (34, 26, 32))


@dataclasses.dataclass(frozen=True)
class Thing:
    """One shape throughout the clip; position of its centre and radius are in pixels."""

    shape: str  # one of SHAPES, or "wall"
    colours: tuple[str, ...]  # [F], names of RGB
    y: np.ndarray  # float64 [F]
    x: np.ndarray  # float64 [F]
    radius: np.ndarray  # float64 [F], half the width
    visible: np.ndarray  # bool [F]; a thing behind another is still visible

    @property
    def name(self) -> str:
        """The name, such as "red circle", with the colour of the first frame."""
        return f"{self.colours[0]} {self.shape}"


@dataclasses.dataclass(frozen=True)
class Scene:
    """Things from back to front on a plain background."""

    things: tuple[Thing, ...]
    background: tuple[int, int, int]

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self.things[0].x)


def make_thing(
    shape: str,
    colour: str | Sequence[str],
    y: ArrayLike,
    x: ArrayLike,
    *,
    frames: int,
    radius: ArrayLike = 10.0,
    visible: ArrayLike = True,
) -> Thing:
    """Returns a thing; each argument but `shape` is one value, or one for each of the `frames`."""
    colours = (colour,) * frames if isinstance(colour, str) else tuple(colour)
    return Thing(
        shape,
        colours,
        _per_frame(y, frames, float),
        _per_frame(x, frames, float),
        _per_frame(radius, frames, float),
        _per_frame(visible, frames, bool),
    )


def make_wall(y: float, x: float, *, frames: int, radius: float = 12.0) -> Thing:
    """Returns a gray block; as the last of `Scene.things` it hides the things behind it."""
    return make_thing("wall", "gray", y, x, frames=frames, radius=radius)


def per_second(values: np.ndarray) -> np.ndarray:
    """Returns the mean over the two frames of each second: [F] -> [F / 2]."""
    return values.reshape(-1, 2).mean(axis=1)


def _per_frame(value: ArrayLike, frames: int, dtype: type) -> np.ndarray:
    array = np.asarray(value, dtype)
    return np.full(frames, array, dtype) if array.ndim == 0 else array
