"""A prompt of Qwen3-VL is the same read in pieces, wherever they cut through a clip.

The times of a clip's patches stand as words within it, and DeepStack adds to the first layers what
belongs to each of its tokens.
"""

import family_checkpoints
import jax
import numpy as np
import pytest
import tiny_vocabulary
from family_questions import AS_TRANSFORMERS, load, prepared
from golden_cases import assert_close, engine_of, run_trace
from reference_runs import FAMILY_RUNS, TOKENS, assert_is_the_reference, read_golden

from vreason_jax.decoding import ladder
from vreason_jax.engine import media
from vreason_jax.prompt.chat import TEXT_TOKEN, VIDEO_TOKEN

WHOLE = (512,)  # one piece
SMALL = ((8,), (16, 4))
LITTLE = 64  # patches that the tower sees at once: 16 tokens a block of embeddings


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(family_checkpoints.write(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """A clip alone; two clips and an image in one prompt; three prompts, one without media."""
    place = tmp_path_factory.mktemp("questions")
    folder = family_checkpoints.write(place / "model")
    return {case: prepared(folder, case, place, **AS_TRANSFORMERS)
            for case in ("video", "mixed", "batch")}  # fmt: skip


def read_slots(model, rows):
    """Every layer's keys and values [slots, ...] of all tokens that reading writes."""
    batch = engine_of(model).read(rows, 16)
    real = batch.rows.real(batch.cache.capacity)
    real[:, batch.rows.answer_start] = False  # the last token is fed to the first step
    layers = jax.tree.map(np.asarray, [*batch.cache.body, batch.cache.last])
    pairs = [(np.moveaxis(layer.keys, 3, 1), np.moveaxis(layer.values, 2, 1)) for layer in layers]
    return [array[: len(rows)][real[: len(rows)]] for pair in pairs for array in pair]


@pytest.mark.parametrize("lengths", SMALL)
def test_pieces_cut_through_patches_and_times(questions, monkeypatch, lengths):
    """Else what follows would show nothing."""
    monkeypatch.setattr(ladder, "piece_lengths", lambda: lengths)
    ((row,), marks) = questions["video"], list(tiny_vocabulary.added_token_ids().values())
    ids, types = row.prompt.token_ids, row.prompt.token_types
    cuts = np.cumsum(ladder.read_pieces(len(ids) - 1))[:-1]
    first, *_, last = np.flatnonzero(types == VIDEO_TOKEN)
    sides = np.stack([cuts - 1, cuts])[:, (cuts > first) & (cuts <= last)]
    times = (types[sides] == TEXT_TOKEN) & ~np.isin(ids[sides], marks)
    assert (types[sides] == VIDEO_TOKEN).all(axis=0).any() and times.all(axis=0).any()


@pytest.mark.parametrize(
    ("case", "lengths"),
    [*(("video", lengths) for lengths in SMALL), ("mixed", (8,)), ("batch", (8,))],
)
def test_every_layers_cache_is_that_of_one_piece(model, questions, monkeypatch, case, lengths):
    """The embeddings that the pieces are given lie in many blocks, those of the one in one."""
    monkeypatch.setattr(ladder, "piece_lengths", lambda: WHOLE)
    expected = read_slots(model, questions[case])
    monkeypatch.setattr(ladder, "piece_lengths", lambda: lengths)
    monkeypatch.setattr(media, "patches_at_once", lambda: LITTLE)
    for ours, theirs in zip(read_slots(model, questions[case]), expected, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("lengths", SMALL)
def test_the_loop_is_still_the_references(model, questions, monkeypatch, lengths):
    monkeypatch.setattr(ladder, "piece_lengths", lambda: lengths)
    keys = FAMILY_RUNS["qwen3_vl"]["switch@0.1"]
    trace = run_trace(model, questions["video"], keys, TOKENS)
    assert_is_the_reference(trace, read_golden("qwen3_vl_vreason")["switch@0.1"])
