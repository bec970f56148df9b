"""Clips taken one by one from a folder that several workers share, until all are answered."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from vreason_jax.evaluation.results.run_folder import RunFolder
from vreason_jax.evaluation.results.workers import Worker
from vreason_jax.evaluation.running.plan import Group, clip_key
from vreason_jax.evaluation.running.setup import Setup
from vreason_jax.runtime.replicas import Replicas

_LOOKED_EVERY = 1.0  # seconds between two looks at what others have in hand


class Claims:
    """What this copy of the model takes; where it has several processes, the first one decides."""

    def __init__(self, setup: Setup, folder: RunFolder, replicas: Replicas, worker: Worker | None):
        self._setup, self._folder, self._replicas = setup, folder, replicas
        self._worker = worker  # None in processes that follow
        self._in_hand: list[Group] = []

    def rounds(self, groups: Sequence[Group]) -> Iterator[Iterator[Group]]:
        """Yields the groups to take, again and again, until none is left.

        What others have in hand stays until it is answered, or its worker is dead.
        """
        left = self._left(groups)
        while left:
            yield self._taken(left)
            self._release(self._in_hand)
            before, left = len(left), self._left(left)
            if len(left) == before:
                time.sleep(_LOOKED_EVERY)

    def release_done(self) -> None:
        """Gives back what has all its lines."""
        self._release([group for group in self._in_hand if not self._pending(group)])

    def _release(self, groups: Sequence[Group]) -> None:
        self._in_hand = [group for group in self._in_hand if group not in groups]
        for group in groups:
            if self._worker is not None:
                self._worker.release(clip_key(group[0]))

    def _taken(self, groups: Sequence[Group]) -> Iterator[Group]:
        for group in groups:
            if self._take(group):
                yield group

    def _take(self, group: Group) -> bool:
        mine = self._worker is not None and self._worker.claim(clip_key(group[0]))
        if not self._replicas.largest(np.array([mine], np.uint8))[0]:
            return False
        self._in_hand.append(group)
        if self._left([group]):
            return True
        self.release_done()  # another was faster
        return False

    def _left(self, groups: Sequence[Group]) -> list[Group]:
        """Returns the groups without all answers, by all that has been written."""
        self._folder.refresh()
        keys = self._setup.keys([record for group in groups for record in group])
        self._folder.share(keys, [], self._replicas.largest)
        return [group for group in groups if self._pending(group)]

    def _pending(self, group: Group) -> bool:
        return any(self._setup.pending(record, self._folder) for record in group)
