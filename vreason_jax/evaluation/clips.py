"""Reads clips: what a prompt holds up to the end of its last medium, kept for later questions."""

import collections
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import NamedSharding

from vreason_jax.decoding.reading import read_prefix
from vreason_jax.engine import Replica
from vreason_jax.inputs import Prepared
from vreason_jax.model.cache import LayerCache
from vreason_jax.prompt.chat import TEXT_TOKEN
from vreason_jax.runtime.compilation import CompileClock
from vreason_jax.runtime.mesh import cache_spec, place_rows

Clip = tuple[LayerCache, ...]  # L times keys and values [1, K, P, H], on the device

# Tokens of clips that a device reads at a time: long clips one by one, short ones together, since
# a call costs more than reading one. A group that is not full is filled up: one program for all.
TOKENS_AT_ONCE = 1024


class ClipReader:
    """The clips read last. All devices on `data` read at the same time, each its own."""

    def __init__(
        self,
        replica: Replica,
        clock: CompileClock,
        counts: dict[str, int],
        *,
        kept: int,
        most: int,
    ):
        """Keeps `kept` clips; times stages by `clock` and counts into `counts`.

        A device reads `most` clips at a time, or fewer where that is more than TOKENS_AT_ONCE.
        """
        self._replica, self._clock, self._counts, self._kept = replica, clock, counts, kept
        self._clips: collections.OrderedDict[str, Clip] = collections.OrderedDict()
        self._devices, self._most = replica.mesh.shape["data"], most
        one = NamedSharding(replica.mesh, cache_spec(replica.mesh, 1))
        self._split = jax.jit(_rows, out_shardings=one)

    def read(self, prompts: Mapping[str, Prepared]) -> dict[str, Clip]:
        """Returns the clips by their names, read from the prompts unless they are kept.

        The prompts have media of one size. One without media has no part that others share: no
        layers.
        """
        found = {name: self._clips.pop(name) for name in prompts if name in self._clips}
        missing = [name for name in prompts if name not in found]
        at_once = self._at_once(prompts[missing[0]].prompt.shared_length) if missing else 1
        for first in range(0, len(missing), at_once):
            names = missing[first : first + at_once]
            read = self._read([prompts[name] for name in names], at_once)
            found |= zip(names, read, strict=True)
        self._clips |= found
        while len(self._clips) > self._kept:
            self._clips.popitem(last=False)
        return found

    def _at_once(self, tokens: int) -> int:
        fitting = max(1, TOKENS_AT_ONCE // max(1, tokens))
        # A power of two, as batch sizes are or have as a factor: groups then fill a batch.
        return self._devices * min(self._most, 1 << (fitting.bit_length() - 1))

    def _read(self, prompts: list[Prepared], at_once: int) -> list[Clip]:
        shared = prompts[0].prompt.shared_length
        if not shared:
            return [()] * len(prompts)
        model, mesh = self._replica.model, self._replica.mesh
        filled = [*prompts, *[prompts[-1]] * (at_once - len(prompts))]
        with self._clock.stage("vision"):
            patches = [medium for prompt in filled for medium in prompt.patches]
            media = jax.block_until_ready(self._replica.encode(patches))
        rows = [prompt.prompt for prompt in filled]
        arrays = (
            np.stack([row.token_ids[:shared] for row in rows]),
            np.stack([row.positions[:, :shared] for row in rows], axis=1),
        )
        slots = np.concatenate(
            [
                number * shared + np.flatnonzero(row.token_types != TEXT_TOKEN)
                for number, row in enumerate(rows)
            ]
        )
        with self._clock.stage("prefill"):
            placed = place_rows(arrays, mesh, at_once)
            read = read_prefix(model, *placed, media, slots.astype(np.int32))
            clips = jax.block_until_ready(self._split(read))
        for stage in ("vision", "clip_prefill"):
            self._counts[stage] += len(prompts)
        return clips[: len(prompts)]


def _rows(read: Clip) -> list[Clip]:
    count = read[0].keys.shape[0]
    return [jax.tree.map(lambda a: a[row : row + 1], read) for row in range(count)]  # noqa: B023
