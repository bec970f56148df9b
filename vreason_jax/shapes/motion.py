"""Paths: one coordinate in pixels per frame."""

import numpy as np

from vreason_jax.shapes.dice import Dice


def one_way(frames: int, start: float, end: float) -> np.ndarray:
    """Returns even steps from `start` to `end`: float64 [F]."""
    return np.linspace(start, end, frames)


def there_and_back(frames: int, start: float, end: float) -> np.ndarray:
    """Returns a path from `start` to `end` and back, twice as fast as `one_way`: float64 [F].

    It visits the positions of `one_way(frames, start, end)`: the even ones on the way there,
    the odd ones on the way back. Frames without their order therefore look the same for both.
    """
    positions = one_way(frames, start, end)
    return np.concatenate([positions[0::2], positions[1::2][::-1]])


def bouncing(frames: int, low: float, high: float, *, traverse: int, contact: int) -> np.ndarray:
    """Returns a path at constant speed between the walls `low` and `high`: float64 [F].

    One crossing takes `traverse` frames. The path first meets `high` half a frame before frame
    `contact`, so with both even every second has one heading, and no bounce is within a second.
    """
    phase = (np.arange(frames) - contact + 0.5) / traverse  # 0 at the first contact with `high`
    distance = np.abs((phase + 1.0) % 2.0 - 1.0)  # from `high`, in crossings
    return high - (high - low) * distance


def two_speeds(frames: int, start: float, first: float, second: float) -> np.ndarray:
    """Returns a path that moves by `first` pixels in its first half, then by `second`: [F]."""
    steps = np.concatenate(
        [
            np.full(frames // 2, first / (frames // 2)),
            np.full(frames - frames // 2 - 1, second / (frames - frames // 2 - 1)),
        ]
    )
    return start + np.concatenate([[0.0], np.cumsum(steps)])


def stops(positions: list[float], seconds: list[int]) -> np.ndarray:
    """Returns a path that stays at each position for its seconds, two frames each: [F]."""
    return np.repeat(np.asarray(positions, float), np.asarray(seconds) * 2)


def shaking(dice: Dice, frames: int, centre: float, reach: float) -> np.ndarray:
    """Returns independent positions around `centre`, which do not reveal the frames' order."""
    return np.asarray(dice.reals(frames, centre - reach, centre + reach))


def durations(dice: Dice, parts: int, seconds: int, *, even: bool) -> list[int]:
    """Returns the whole seconds of each of `parts`: at least one each, `seconds` in total."""
    if even:
        cuts = [round(seconds * part / parts) for part in range(1, parts)]
    else:
        cuts = sorted(dice.some(range(1, seconds), parts - 1))
    return np.diff([0, *cuts, seconds]).tolist()
