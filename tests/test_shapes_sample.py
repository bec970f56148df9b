"""Samples depend on their arguments alone, and no scene is in two splits."""

import hashlib
import json

import numpy as np
import pytest

from vreason_jax.errors import UserError
from vreason_jax.shapes import KINDS, SPLITS, sample, sample_text
from vreason_jax.shapes.render import backdrop
from vreason_jax.shapes.sample import scene_signature, split_of
from vreason_jax.shapes.scene import HEIGHT, WIDTH


def test_the_same_arguments_give_the_same_bytes():
    for kind in KINDS:
        one, two = (sample("train", 7, kind, 3) for _ in range(2))
        assert one.frames.tobytes() == two.frames.tobytes()
        assert (one.question, one.answer, one.reply) == (two.question, two.answer, two.reply)


def test_texts_are_the_same_on_every_machine():
    # A checkpoint is only reproducible while the family stays as it was when it was trained.
    texts = [
        [text.question, text.answer, text.reply]
        for text in (sample_text(split, index) for split in SPLITS for index in range(24))
    ]
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
    assert digest[:16] == "890af0313a05b8df"


def test_index_alone_goes_through_every_kind_and_level():
    texts = [sample_text("train", index) for index in range(24)]
    assert len({(text.kind, text.level) for text in texts}) == 24
    assert texts[13].reply == sample_text("train", 13, texts[13].kind, texts[13].level).reply


@pytest.mark.parametrize("kind", KINDS)
def test_frames_have_the_stated_form(kind):
    for frames in (16, 18, 20):
        made = sample("validation", 3, kind, 2, frames=frames)
        assert made.frames.shape == (frames, 84, 112, 3)
        assert made.frames.dtype == np.uint8
        assert made.fps == 2.0


def test_no_scene_is_in_two_splits():
    numbers = {"train": 1500, "validation": 240, "test": 240}
    signatures = {
        split: {scene_signature(sample_text(split, index).scene) for index in range(number)}
        for split, number in numbers.items()
    }
    for split, found in signatures.items():
        assert len(found) > 0.8 * numbers[split]  # a split is no repetition of a few scenes
        others = [signatures[other] for other in SPLITS if other != split]
        assert found.isdisjoint(set().union(*others))


def test_a_scene_belongs_to_the_split_it_was_drawn_for():
    for split in SPLITS:
        assert {split_of(sample_text(split, index).scene) for index in range(48)} == {split}


def test_no_clip_is_in_two_splits():
    clips = {
        split: {hash(sample(split, index).frames.tobytes()) for index in range(160)}
        for split in SPLITS
    }
    assert sum(len(found) for found in clips.values()) == 480
    assert len(set().union(*clips.values())) == 480


@pytest.mark.parametrize(
    ("arguments", "frames", "words"),
    [
        (("dev", 0), 16, "split"),
        (("test", 0, "colour change"), 16, "direction, count"),
        (("test", 0, "count", 4), 16, "level of 1, 2, 3"),
        (("test", 100_000), 16, "index of 0 to 99999"),
        (("test", -1), 16, "index of 0 to 99999"),
        (("test", 0), 8, "16 to 20 frames, got 8"),
        (("test", 0), 17, "even number"),
    ],
)
def test_what_is_out_of_range_is_named_in_one_line(arguments, frames, words):
    with pytest.raises(UserError, match=words) as caught:
        sample(*arguments, frames=frames)
    assert "\n" not in str(caught.value)


def test_the_backdrop_tells_columns_by_red_and_rows_by_blue():
    empty = backdrop((26, 28, 36)).astype(int)
    assert empty.shape == (HEIGHT, WIDTH, 3)
    assert (np.diff(empty[..., 0].mean(axis=0)) >= 0).all() and np.ptp(empty[..., 0]) > 60
    assert (np.diff(empty[..., 2].mean(axis=1)) >= 0).all() and np.ptp(empty[..., 2]) > 60
    assert np.ptp(empty[..., 1]) == 0
