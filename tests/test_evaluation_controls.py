"""Controls take away what they say and nothing else, alike for all who look at a clip."""

import numpy as np
import pytest

from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.running.controls import BLANK, CONTROLS, NO_LAST_VALUES, NONE, SHUFFLED
from vreason_jax.evaluation.running.controls import controlled_clip as controlled
from vreason_jax.evaluation.running.videos import clip_source
from vreason_jax.shapes import sample
from vreason_jax.shapes.render import backdrop
from vreason_jax.video.reader import Clip


def record(**fields):
    values = {"id": "q", "benchmark": "mvbench", "video": "a.webm", "problem": "?", "options": ()}
    return Record(**{**values, "gold": "A", "kind": CHOICE, "task": "t", **fields})


@pytest.fixture
def clip():
    frames = np.random.default_rng(0).integers(0, 256, (8, 28, 56, 3), np.uint8)
    indices = np.arange(8, dtype=np.int32)
    return Clip(frames, 2.0, indices, indices / 2.0, "a.webm", "pyav")


def test_blank_frames_have_the_mean_colour_of_the_clip(clip):
    blank = controlled(clip, record(), BLANK).frames
    assert (blank.shape, blank.dtype) == (clip.frames.shape, np.uint8)
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1
    np.testing.assert_allclose(blank[0, 0, 0], clip.frames.mean(axis=(0, 1, 2)), atol=0.5)


def test_shuffled_frames_are_those_of_the_clip_in_another_order(clip):
    shuffled = controlled(clip, record(), SHUFFLED).frames
    order = [
        int(np.flatnonzero((clip.frames == frame).all(axis=(1, 2, 3)))[0]) for frame in shuffled
    ]
    assert sorted(order) == list(range(8)) != order


def test_the_order_depends_on_the_clip_alone(clip):
    def shuffled(**fields):
        return controlled(clip, record(**fields), SHUFFLED).frames

    assert (shuffled(id="other", problem="!", task="u") == shuffled()).all()
    assert (shuffled(video="b.webm") != shuffled()).any()
    assert (shuffled(start=1.0, end=2.0) != shuffled()).any()


def test_the_others_leave_the_clip_as_it_is(clip):
    assert all(controlled(clip, record(), name) is clip for name in (NONE, NO_LAST_VALUES))


def test_of_shapes_the_backdrop_stays():
    made = sample("test", 3)
    drawn = record(benchmark="shapes", video=made.name)
    for name in CONTROLS:
        source = clip_source(drawn, lambda record: pytest.fail("shapes has no files"), name)
        expected = made.frames
        if name == BLANK:
            expected = np.stack([backdrop(made.scene.background)] * len(made.frames))
        np.testing.assert_array_equal(source.frames, expected)  # pyright: ignore


def test_a_blank_clip_of_shapes_is_not_blanked_twice(clip):
    assert controlled(clip, record(benchmark="shapes"), BLANK) is clip
