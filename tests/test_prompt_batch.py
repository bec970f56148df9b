import numpy as np
import pytest
from tiny_tokenizer import write_tiny_tokenizer

from vreason_jax.prompt.batch import batch_prompts
from vreason_jax.prompt.chat import Medium, build_prompt
from vreason_jax.prompt.tokenizer import PromptTokenizer

VIDEO, SMALL, IMAGE = (
    Medium("video", (3, 4, 4), 1.0),
    Medium("video", (1, 2, 2), 1.0),
    Medium("image", (1, 4, 6)),
)
MEDIA = [[VIDEO], [IMAGE, SMALL, VIDEO], [], [IMAGE]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return PromptTokenizer.load(write_tiny_tokenizer(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def prompts(tokenizer):
    words = ["x", "several more words than that", "y?", "z"]
    return [
        build_prompt(tokenizer, media, text, tokens_per_second=2)
        for media, text in zip(MEDIA, words, strict=True)
    ]


@pytest.mark.parametrize("extra", [0, 7])
def test_rows_hold_their_prompt_at_the_right_end(prompts, tokenizer, extra):
    size = max(len(p.token_ids) for p in prompts) + extra
    batch = batch_prompts(prompts, tokenizer.ids.pad, length=size if extra else None)
    assert batch.token_ids.shape == (4, size)
    assert batch.positions.shape == (3, 4, size)
    for row, (prompt, start) in enumerate(zip(prompts, batch.starts, strict=True)):
        np.testing.assert_array_equal(batch.token_ids[row, start:], prompt.token_ids)
        np.testing.assert_array_equal(batch.positions[:, row, start:], prompt.positions)
        assert (batch.token_ids[row, :start] == tokenizer.ids.pad).all()
        assert (batch.positions[:, row, :start] == 0).all()
        assert batch.next_positions[row] == prompt.next_position
    assert (batch.starts > 0).sum() == (4 if extra else 3)


def test_slots_point_at_the_pads_of_each_row_in_order(prompts, tokenizer):
    batch = batch_prompts(prompts, tokenizer.ids.pad)
    assert batch.video_mask.sum(axis=1).tolist() == [12, 13, 0, 0]
    assert batch.media_mask.sum(axis=1).tolist() == [12, 19, 0, 6]
    assert batch.video_slots.shape == (4, 13)
    assert batch.media_slots.shape == (4, 19)
    ids = tokenizer.ids
    for row in range(4):
        video = batch.video_slots[row][batch.video_mask[row]]
        media = batch.media_slots[row][batch.media_mask[row]]
        is_video = batch.token_ids[row] == ids.video_pad
        np.testing.assert_array_equal(video, np.flatnonzero(is_video))
        is_media = is_video | (batch.token_ids[row] == ids.image_pad)
        np.testing.assert_array_equal(media, np.flatnonzero(is_media))
        assert (batch.video_slots[row][~batch.video_mask[row]] == 0).all()


def test_batch_without_videos_has_no_slots(prompts, tokenizer):
    batch = batch_prompts(prompts[2:], tokenizer.ids.pad)
    assert batch.video_slots.shape == batch.video_mask.shape == (2, 0)
    assert batch.media_slots.shape == (2, 6)
    assert batch_prompts(prompts[2:3], tokenizer.ids.pad).media_slots.shape == (1, 0)


def test_dtypes_are_int32_and_bool(prompts, tokenizer):
    batch = vars(batch_prompts(prompts, tokenizer.ids.pad))
    for name, array in batch.items():
        assert array.dtype == (np.bool_ if name.endswith("mask") else np.int32), name


def test_batch_of_one_adds_no_padding(prompts, tokenizer):
    batch = batch_prompts(prompts[:1], tokenizer.ids.pad)
    assert batch.starts.tolist() == [0]
    np.testing.assert_array_equal(batch.token_ids[0], prompts[0].token_ids)


def test_prompt_longer_than_the_length_asked_for_is_refused(prompts, tokenizer):
    with pytest.raises(ValueError, match="exceeds length 5"):
        batch_prompts(prompts, tokenizer.ids.pad, length=5)
