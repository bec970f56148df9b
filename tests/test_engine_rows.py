"""Where the tokens of a batch go: each to one slot, with what it needs, and padding is unseen."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.controller.prune import NO_VIDEO
from vreason_jax.decoding.reading import TEXT
from vreason_jax.engine.rows import PromptRows
from vreason_jax.prompt.chat import IMAGE_TOKEN, TEXT_TOKEN, VIDEO_TOKEN, Prompt
from vreason_jax.prompt.positions import Medium

SLOTS = 1024
media = st.builds(
    Medium,
    st.sampled_from(["video", "image"]),
    st.tuples(st.integers(1, 3), st.sampled_from([2, 4, 6]), st.sampled_from([2, 8])),
)


@st.composite
def prompts(draw):
    """Text and media by turns, text last, each token with an id of its own."""
    kinds = [TEXT_TOKEN] * draw(st.integers(0, 40))
    chosen = draw(st.lists(media, max_size=3))
    for medium in chosen:
        kind = VIDEO_TOKEN if medium.kind == "video" else IMAGE_TOKEN
        kinds += [kind] * medium.token_count + [TEXT_TOKEN] * draw(st.integers(0, 5))
    kinds += [TEXT_TOKEN] * draw(st.integers(1, 60))
    count = len(kinds)
    numbers = np.arange(1, count + 1, dtype=np.int32)
    return Prompt(
        token_ids=numbers,
        positions=np.stack([numbers, 2 * numbers, 3 * numbers]),
        next_position=count + 1,
        media=tuple(chosen),
        token_types=np.array(kinds, np.int32),
    )


batches = st.lists(prompts(), min_size=1, max_size=4)


def written(pieces, rows):
    """What the pieces write, slot by slot: ids [B, S], positions [B, 3, S], media index [B, S]."""
    ids, index = np.zeros((rows, SLOTS), int), np.full((rows, SLOTS), TEXT)
    positions = np.zeros((rows, 3, SLOTS), int)
    for piece in pieces:
        at = slice(int(piece.start), int(piece.start) + piece.token_ids.shape[1])
        ids[:, at], index[:, at] = piece.token_ids, piece.media_index
        positions[:, :, at] = piece.positions
    return ids, positions, index


@given(batches)
def test_every_token_but_the_last_is_written_once_and_is_all_that_is_visible(found):
    rows = PromptRows.of(found)
    index = [1000 * row + np.arange(SLOTS) for row in range(len(found))]
    shared = written(rows.shared_pieces(index), len(found))
    rests = written(rows.rest_pieces(), len(found))
    visible = np.asarray(rows.layout().visible(np.arange(SLOTS)))
    assert rows.slots <= SLOTS
    for row, prompt in enumerate(found):
        seen = np.flatnonzero(visible[row] & (np.arange(SLOTS) < rows.answer_start))
        first = seen < rows.shared[row]
        at = np.where(first, shared[0][row, seen], rests[0][row, seen])
        np.testing.assert_array_equal(at, prompt.token_ids[:-1])
        places = np.where(first, shared[1][row][:, seen], rests[1][row][:, seen])
        np.testing.assert_array_equal(places, prompt.positions[:, :-1])
        own = shared[2][row, seen[first]]
        wanted = np.flatnonzero(prompt.token_types != TEXT_TOKEN)
        np.testing.assert_array_equal(own[wanted], index[row][: len(wanted)])
        assert (np.delete(own, wanted) == TEXT).all() and (rests[2] == TEXT).all()
        assert visible[row, rows.answer_start :].all()


@given(batches)
def test_masks_of_the_video_count_its_temporal_patches(found):
    rows = PromptRows.of(found)
    frames, real = rows.frame_of_slot(SLOTS), rows.real(SLOTS)
    for row, prompt in enumerate(found):
        video = prompt.token_types == VIDEO_TOKEN
        np.testing.assert_array_equal(
            np.flatnonzero(frames[row] != NO_VIDEO), np.flatnonzero(video)
        )
        sizes = [m.token_count // m.grid[0] for m in prompt.media if m.kind == "video"
                 for _ in range(m.grid[0])]  # fmt: skip
        kept = frames[row][frames[row] != NO_VIDEO]
        np.testing.assert_array_equal(kept, np.repeat(np.arange(len(sizes)), sizes))
        assert real[row].sum() == len(prompt.token_ids)


def test_ids_that_a_prompt_holds_are_seen_and_padding_is_not():
    short = Prompt(np.array([5, 7], np.int32), np.zeros((3, 2), int), 2, (), np.zeros(2, int))
    long = Prompt(
        np.arange(9, 30, dtype=np.int32), np.zeros((3, 21), int), 21, (), np.zeros(21, int)
    )
    seen = PromptRows.of([short, long]).seen(40)
    assert np.flatnonzero(seen[0]).tolist() == [5, 7]
    assert np.flatnonzero(seen[1]).tolist() == list(range(9, 30))
