"""Clips on their way to the model: how many wait at a time, and how much memory each takes."""

import types
import weakref
from typing import Any

from stub_engine import Stub

from vreason_jax.evaluation.running import videos
from vreason_jax.evaluation.running.batches import Batches
from vreason_jax.evaluation.running.plan import WAITING_BATCHES
from vreason_jax.evaluation.running.videos import ReadClip


def test_a_clip_waits_for_the_model_as_its_pixels_once(place, tmp_path, monkeypatch):
    read, waiting = Batches._read, []

    def kept(batches, group):
        waiting.append(read(batches, group))
        return waiting[-1]

    stub = Stub(monkeypatch, place / "model")
    monkeypatch.setattr(Batches, "_read", kept)
    assert stub("--limit", 2, "--out", tmp_path, "--methods", "baseline") == 0
    assert len(waiting) == 2
    for clip in waiting:
        (question,) = clip.prepared
        (patches,) = question.media.patches
        time, height, width = patches.grid
        assert patches.values.nbytes == 2 * time * height * width * 14**2 * 3
        assert sum(shown.frames.nbytes for shown in question.media.clips) == 0


def test_few_clips_wait_however_many_shapes_they_have(place, tmp_path, monkeypatch):
    alive: weakref.WeakSet = weakref.WeakSet()
    most = []

    class Media:
        def __init__(self, grid):
            self.patches = [types.SimpleNamespace(grid=grid)]

    def read(batches, group):
        number = int(group[0].id[len("test-") :].split("-")[0])
        media = Media((2 ** (number % 7 + 1), 16, 16))
        alive.add(media)
        most.append(len(alive))
        asked: Any = tuple(types.SimpleNamespace(name=r.id, media=media) for r in group)
        return ReadClip(None, "", 0.0, asked)

    stub = Stub(monkeypatch, place / "model")
    monkeypatch.setattr(Batches, "_read", read)
    assert stub("--limit", 200, "--out", tmp_path, "--methods", "baseline") == 0
    rows = 2
    ahead, bucketed = 2 * rows + videos.default_workers(), WAITING_BATCHES * rows
    assert len(most) == 200 and 4 * rows < max(most) <= ahead + bucketed + 2 * rows
