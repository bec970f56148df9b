"""Image files as targets of damage: each gives a picture, or is refused in one line."""

from pathlib import Path

import numpy as np
from mutation_runs import Target
from patches_of_14 import sized
from PIL import Image

from vreason_jax.video.reader import read_image

SUFFIXES = ("png", "jpg", "gif", "webp", "tiff", "bmp", "avif")
LIMITS = sized(784, 2**15)


def _target(suffix: str) -> Target:
    def prepare(folder: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"image.{suffix}")

    def use(folder: Path) -> None:
        frames = read_image(folder / f"image.{suffix}", LIMITS).frames
        assert len(frames) == 1 and frames.ndim == 4

    return Target(suffix, prepare, lambda folder: list(folder.iterdir()), use)


TARGETS = [_target(suffix) for suffix in SUFFIXES]
