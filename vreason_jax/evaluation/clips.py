"""Reads clips: what a prompt holds up to the end of its last medium, kept for later questions."""

import collections

import jax
import numpy as np

from vreason_jax.decoding.reading import read_prefix
from vreason_jax.engine import Replica
from vreason_jax.inputs import Prepared
from vreason_jax.model.cache import LayerCache
from vreason_jax.prompt.chat import TEXT_TOKEN
from vreason_jax.runtime.compilation import CompileClock
from vreason_jax.runtime.mesh import place_rows

Clip = tuple[LayerCache, ...]  # L times keys and values [1, K, P, H], on the device


class ClipReader:
    """The clips read last, each by itself: one size of clip is one compiled program."""

    def __init__(self, replica: Replica, clock: CompileClock, counts: dict[str, int], *, kept: int):
        """Keeps `kept` clips; times stages by `clock` and counts into `counts`."""
        self._replica, self._clock, self._counts, self._kept = replica, clock, counts, kept
        self._clips: collections.OrderedDict[str, Clip] = collections.OrderedDict()

    def read(self, key: str, prepared: Prepared) -> Clip:
        """Returns the clip called `key`, read from `prepared` unless it is kept.

        A prompt without media has no part that others share: no layers.
        """
        if not prepared.prompt.shared_length:
            return ()
        if key not in self._clips:
            self._clips[key] = self._read(prepared)
        self._clips.move_to_end(key)
        clip = self._clips[key]
        while len(self._clips) > self._kept:
            self._clips.popitem(last=False)
        return clip

    def _read(self, prepared: Prepared) -> Clip:
        prompt, replica = prepared.prompt, self._replica
        with self._clock.stage("vision"):
            media = jax.block_until_ready(replica.encode(prepared))
        shared = prompt.shared_length
        arrays = prompt.token_ids[None, :shared], prompt.positions[:, None, :shared]
        slots = np.flatnonzero(prompt.token_types != TEXT_TOKEN).astype(np.int32)
        with self._clock.stage("prefill"):
            clip = read_prefix(replica.model, *place_rows(arrays, replica.mesh, 1), media, slots)
            jax.block_until_ready(clip)
        self._counts["vision"] += 1
        self._counts["clip_prefill"] += 1
        return clip
