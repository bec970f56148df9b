"""What the goldens of families are asked: frames made from a seed, words, batches of them."""

import dataclasses

import numpy as np

from vreason_jax.shapes.sample import sample
from vreason_jax.shapes.scene import FPS

RATE = 2.5  # frames a second: times such as 0.2, 1.0 and, of the frame that comes twice, 1.6


@dataclasses.dataclass(frozen=True)
class Row:
    """A user turn: sizes of media (frames, height, width), of an image without frames; words."""

    media: tuple[tuple[int, ...], ...]
    words: str
    rate: float = RATE

    def pixels(self) -> list[np.ndarray]:
        """Returns each medium: a video uint8 [F, h, w, 3], an image [h, w, 3]."""
        return [_noise((*size, 3), number) for number, size in enumerate(self.media)]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Whether each medium is a video or an image."""
        return tuple("video" if len(size) == 3 else "image" for size in self.media)


@dataclasses.dataclass(frozen=True)
class ShapesRow:
    """The user turn of a test question of `shapes`."""

    index: int
    kinds = ("video",)
    rate = FPS

    @property
    def words(self) -> str:
        """The question with its options."""
        return sample("test", self.index).question

    def pixels(self) -> list[np.ndarray]:
        """Returns the clip, alone."""
        return [sample("test", self.index).frames]


EMBEDDED_ROWS = (ShapesRow(0), ShapesRow(3))  # which way it goes; how often it bounces

# Frames of 6 x 10 patches and less; odd counts; height above and below width.
CASES: dict[str, tuple[Row, ...]] = {
    "video": (Row(((5, 24, 40),), "what is it?"),),
    "mixed": (Row(((2, 16, 8), (24, 16), (3, 8, 24)), "and then?"),),
    "batch": (
        Row(((4, 8, 16),), "a cat or a dog in the video?"),
        Row((), "no video"),
        Row(((2, 16, 24),), "who?"),
    ),
    "text": (Row((), "what is the answer?"),),
}
TOKENS = 32


def _noise(shape: tuple[int, ...], number: int) -> np.ndarray:
    """Soft noise, so that patches differ in more than their last bits."""
    rng = np.random.default_rng([number, *shape])
    return np.clip(rng.normal(128, 80, shape), 0, 255).astype(np.uint8)
