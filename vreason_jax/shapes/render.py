"""Draws scenes: stamps every thing in a small square around its centre."""

import functools
import math

import numpy as np

from vreason_jax.shapes.scene import HEIGHT, RGB, WIDTH, Scene, Thing

PAD = 24  # pixels around the frame, so that a stamp never leaves the canvas
SHADING = 84.0  # how much brighter, of 255, the backdrop's red and blue become across the frame
TRIANGLE_SLOPE = 2.0 / math.sqrt(5.0)


def render(scene: Scene) -> np.ndarray:
    """Returns the frames: uint8 [F, 84, 112, 3], with edges smoothed over one pixel."""
    canvas = np.tile(_padded_backdrop(scene.background), (scene.frames, 1, 1, 1))
    for thing in scene.things:
        _stamp(canvas, thing)
    return np.ascontiguousarray(canvas[:, PAD:-PAD, PAD:-PAD])


def backdrop(background: tuple[int, int, int]) -> np.ndarray:
    """Returns a frame without things, uint8 [84, 112, 3]: redder to the right, bluer downwards.

    The shading shows where a part of the picture lies, as real pictures mostly do.
    """
    return _padded_backdrop(background)[PAD:-PAD, PAD:-PAD].copy()


@functools.lru_cache
def _padded_backdrop(background: tuple[int, int, int]) -> np.ndarray:
    across = np.clip(np.arange(-PAD, WIDTH + PAD) / WIDTH, 0.0, 1.0)
    down = np.clip(np.arange(-PAD, HEIGHT + PAD) / HEIGHT, 0.0, 1.0)
    canvas = np.empty((HEIGHT + 2 * PAD, WIDTH + 2 * PAD, 3))
    canvas[:] = background
    canvas[..., 0] += SHADING * across
    canvas[..., 2] += SHADING * down[:, None]
    return np.rint(canvas).astype(np.uint8)


def _stamp(canvas: np.ndarray, thing: Thing) -> None:
    reach = int(thing.radius.max()) + 2
    window = np.arange(-reach, reach + 1, dtype=np.float32)
    rows = np.clip(np.rint(thing.y).astype(int), 2 - PAD + reach, HEIGHT + PAD - 2 - reach)
    columns = np.clip(np.rint(thing.x).astype(int), 2 - PAD + reach, WIDTH + PAD - 2 - reach)
    y = window - (thing.y - rows).astype(np.float32)[:, None]  # [F, window]
    x = window - (thing.x - columns).astype(np.float32)[:, None]
    radius = thing.radius.astype(np.float32)[:, None, None]
    distance = _distance(thing.shape, y[:, :, None], x[:, None, :], radius)
    cover = np.clip(0.5 - distance, 0.0, 1.0) * thing.visible[:, None, None]
    # In 256ths, so that a blend of bytes fits 16 bits: 255 * 256 + 128 < 2 ** 16.
    weight = np.rint(cover * 256.0).astype(np.uint16)[..., None]  # [F, window, window, 1]
    colours = np.array([RGB[name] for name in thing.colours], np.uint16)[:, None, None]
    side = slice(PAD - reach, PAD + reach + 1)
    paint, keep = colours * weight + np.uint16(128), np.uint16(256) - weight
    for frame in np.flatnonzero(thing.visible):
        top, left = rows[frame] + side.start, columns[frame] + side.start
        patch = canvas[frame, top : top + len(window), left : left + len(window)]
        patch[:] = (patch * keep[frame] + paint[frame]) >> 8


def _distance(shape: str, y: np.ndarray, x: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Returns the approximate distance of a point from the shape in pixels (inside: negative)."""
    if shape == "circle":
        return np.sqrt(y * y + x * x) - radius
    if shape == "triangle":  # point up, as wide as high
        slanted = (np.abs(x) - 0.5 * (y + radius)) * TRIANGLE_SLOPE
        return np.maximum(slanted, y - radius)
    side = radius if shape == "wall" else 0.88 * radius  # about the area of the circle
    return np.maximum(np.abs(y), np.abs(x)) - side
