"""Reproducible random draws: one seed text gives the same draws on every machine and version."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from `random.Random.random` alone, the only method whose stream Python guarantees."""

    def __init__(self, seed: str):
        """Seeds from any text; two texts give unrelated streams."""
        digest = hashlib.blake2b(seed.encode(), digest_size=8).digest()
        self._random = random.Random(int.from_bytes(digest, "big")).random

    def real(self, low: float, high: float) -> float:
        """Returns a number in [low, high)."""
        return low + (high - low) * self._random()

    def reals(self, count: int, low: float, high: float) -> list[float]:
        """Returns `count` independent numbers in [low, high)."""
        return [self.real(low, high) for _ in range(count)]

    def whole(self, low: int, high: int) -> int:
        """Returns an integer from low to high, both included."""
        return low + int((high - low + 1) * self._random())

    def chance(self, probability: float) -> bool:
        """Returns True with the given probability."""
        return self._random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """Returns one of `items`."""
        return items[int(len(items) * self._random())]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """Returns `count` different items in random order."""
        pool = list(items)
        if count > len(pool):
            raise ValueError(f"{count} of {len(pool)} items")
        return [pool.pop(int(len(pool) * self._random())) for _ in range(count)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Returns all of `items` in random order."""
        return self.some(items, len(items))
