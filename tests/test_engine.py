"""Sharing what was read, batches, samples, company and meshes change no answer."""

import functools
import gc
import itertools
import re
import weakref

import jax
import numpy as np
import pytest
from answer_checks import assert_same_answers
from flax import nnx
from small_model import config_of

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import PRUNE_POLICIES
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.reading import read_piece, take_rows
from vreason_jax.engine import media, prefixes
from vreason_jax.engine.engine import Engine
from vreason_jax.errors import UserError
from vreason_jax.questions import as_question
from vreason_jax.runtime import memory

WORDS = ("Why?", "Which thing moves?")  # of unequal length
LIVELY = {
    "controller__ema_decay": 0.5,
    "controller__learning_rate": 0.1,
    "sampling__max_new_tokens": 30,
}
# With and without pruning, greedy and by chance.
RUNS = {
    "switch": {},
    "min": {"prune__fraction": 0.5},
    "max": {"sampling__temperature": 1.0, "sampling__repetition_penalty": 1.3},
    "none": {"prune__fraction": 0.5, "prune__policy": "per_frame", "sampling__temperature": 0.7},
    "random": {"prune__fraction": 0.5, "prune__policy": "random", "sampling__temperature": 1.0},
    "random_direction": {"prune__fraction": 0.3, "prune__policy": "drop_low_key"},
}
CHOSEN = ("min", "random")  # Lite, and all that is drawn by chance
# On every mesh; and on that with both axes also the other run.
MESHES = (
    ("data=8", "random"), ("model=2", "random"), *(("data=4,model=2", name) for name in CHOSEN),
)  # fmt: skip


TOKENS = LIVELY["sampling__max_new_tokens"]


def run_of(objective, seed=3, **changes):
    keys = {**LIVELY, **RUNS[objective], "sampling__seed": seed, **changes}
    return config_of(controller__objective=objective, **keys)


@pytest.fixture(scope="module")
def engines(place):
    """Engines of one mesh and batch size each; they share the weights of their mesh."""

    @functools.cache
    def loaded(mesh):
        return Engine.load(Checkpoint.open(place / "model"), run_of("none").model, mesh)

    @functools.cache
    def engine(batch_size=1, mesh="data=1"):
        first = loaded(mesh)
        return Engine(first.checkpoint, first.model, first.mesh, batch_size=batch_size)

    return engine


@pytest.fixture
def new_engine(engines):
    """An engine that has read nothing yet."""

    def engine(batch_size=1, **options):
        first = engines()
        return Engine(first.checkpoint, first.model, first.mesh, batch_size=batch_size, **options)

    return engine


def frames(seed, height, width, count=4):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8), 2.0


CLIPS = {
    "wide": frames(1, 28, 56),
    "wide too": frames(2, 28, 56),
    "square": frames(3, 56, 56, count=6),
}


@pytest.fixture(scope="module")
def questions(engines):
    """Two questions about each of three clips, of two sizes."""
    return [
        engines().checkpoint.prepare(as_question(clip, words), run_of("none"))
        for clip, words in itertools.product(CLIPS.values(), WORDS)
    ]


def answers(engine, questions, run):
    """The answers, in order."""
    size = engine.rows_per_batch
    groups = [questions[first : first + size] for first in range(0, len(questions), size)]
    return [answer for group in groups for answer in engine.answer(engine.read(group, TOKENS), run)]


@pytest.fixture(scope="module")
def wide(questions):
    """Two questions about each of the two clips of one size."""
    return questions[:4]


@pytest.fixture(scope="module")
def alone(engines, wide):
    """The answers to the wide clips' questions in batches of one, by run."""

    @functools.cache
    def of(objective):
        return answers(engines(), wide, run_of(objective))

    return of


def test_devices_keep_parts_of_the_tower_and_encode_without_each_other(
    engines, questions, monkeypatch
):
    engine, calls = engines(mesh="model=2"), []
    weights = jax.tree.leaves(nnx.state(engine.model.vision))
    here = sum(array.addressable_shards[0].data.nbytes for array in weights)
    assert here <= 1.08 / 2 * sum(array.nbytes for array in weights)

    def recorded(*arguments, **options):
        calls.append(encode_frames.lower(*arguments, **options))
        return encode_frames(*arguments, **options)

    encode_frames = media.encode_frames
    monkeypatch.setattr(media, "encode_frames", recorded)
    media.encode_media(engine.model.vision, questions[-1].media.patches, engine.mesh)
    programs = [call.compile().as_text() for call in calls]
    words = r"all-\w+|collective-\w+|reduce-scatter"
    # Of a call whose frames both devices share: for the embeddings of all.
    told = [re.findall(rf"= \S+ ({words})(?:-start)?\(", program) for program in programs]
    assert [len(words) for words in told] == [1]


def test_short_clips_are_read_together_and_long_ones_one_by_one(new_engine, wide, monkeypatch):
    sizes = []

    def recorded(decoder, cache, *rest, **options):
        sizes.append(cache.last.keys.shape[0])
        return read_piece(decoder, cache, *rest, **options)

    monkeypatch.setattr(prefixes, "read_piece", recorded)
    together = answers(new_engine(4), wide, run_of("switch"))
    pieces = len(sizes) - 1  # of a clip; the rests are one
    assert sizes == [4] * (pieces + 1), "two clips in room for four, then four rests"
    sizes.clear()
    monkeypatch.setattr(prefixes, "_TOKENS_AT_ONCE", 1)
    apart = answers(new_engine(4), wide, run_of("switch"))
    assert sizes == [1] * (2 * pieces) + [4]
    assert_same_answers(together, apart)


@pytest.mark.parametrize("policy", PRUNE_POLICIES)
def test_a_shared_prefix_gives_the_answer_of_a_clip_read_for_it_alone(
    engines, new_engine, wide, policy
):
    run = run_of("switch", prune__fraction=0.5, prune__policy=policy)
    engine = new_engine()
    answers(engine, wide[2:3], run)  # another question about the clip reads it
    before = dict(engine.counts)
    shared = answers(engine, wide[3:4], run)
    assert engine.counts["clip_prefill"] == before["clip_prefill"]
    assert_same_answers(shared, answers(new_engine(), wide[3:4], run))


@pytest.mark.parametrize("media", [[frames(4, 28, 28), frames(5, 56, 28)], None])
def test_several_videos_and_none_are_answered_in_any_company(engines, questions, media):
    run = run_of("switch")
    prepared = engines().checkpoint.prepare(as_question(media, WORDS[1]), run)
    group = [questions[0], prepared, questions[5]]
    together = answers(engines(4), group, run)
    assert_same_answers(together, answers(engines(), group, run))
    assert together[1].tokens.updated.any() == (media is not None)


@pytest.mark.parametrize(("batch_size", "objective"), [(4, "min"), (4, "random"), (8, "random")])
def test_the_size_of_the_batch_changes_no_answer(engines, wide, alone, batch_size, objective):
    got = answers(engines(batch_size), wide, run_of(objective))
    assert_same_answers(got, alone(objective))


def test_the_company_in_a_batch_changes_no_answer(engines, questions, wide, alone):
    engine, run = engines(4), run_of("random")
    expected = dict(zip(map(id, wide), alone("random"), strict=True))
    for group in (wide[::-1], [wide[0], wide[3], wide[0]], [wide[2]]):
        assert_same_answers(answers(engine, group, run), [expected[id(q)] for q in group])
    mixed = answers(engine, [questions[4], wide[0], questions[5], wide[3]], run)
    assert_same_answers(mixed[1::2], [expected[id(wide[0])], expected[id(wide[3])]])


@pytest.mark.parametrize(("mesh", "objective"), MESHES)
def test_eight_devices_answer_as_one(engines, wide, alone, mesh, objective):
    data = engines(1, mesh).mesh.shape["data"]
    engine = engines(8 // data, mesh)
    assert engine.rows_per_batch == 8
    assert_same_answers(answers(engine, wide, run_of(objective)), alone(objective))


@pytest.mark.parametrize("mesh", ["data=2", "model=2", "data=2,model=2"])
def test_two_chunks_on_a_mesh_are_one_program_and_donate_what_they_are_given(engines, wide, mesh):
    engine = engines(2, mesh)
    run = run_of("switch", sampling__max_new_tokens=64)
    started = engine.start(engine.read(wide[:2], 64), run)
    state = started.state
    decode_chunk.clear_cache()
    for _ in range(2):
        given = state
        state, _ = decode_chunk(
            engine.model.decoder, started.context, given, settings=started.settings, steps=7
        )
        large = [given.cache.last.keys, given.controller.delta]
        assert all(array.is_deleted() for array in large)
        ours, theirs = (jax.tree.map(lambda a: a.sharding, s) for s in (state, given))
        assert ours == theirs
    assert decode_chunk._cache_size() == 1


def test_rows_lie_over_data_and_heads_over_model(engines, questions):
    batch = engines(1, "data=4,model=2").read(questions[:3], TOKENS)
    shards = batch.cache.last.keys.addressable_shards
    assert {shard.data.shape[:2] for shard in shards} == {(1, 1)}
    # As many as are asked, so many more that each device has as many.
    asked = engines(None, "data=4,model=2")
    assert [asked.rows(count) for count in (1, 2, 4, 5, 9)] == [1, 4, 4, 8, 16]
    shards = asked.read(questions[:2], TOKENS).cache.last.keys.addressable_shards
    assert {shard.data.shape[:2] for shard in shards} == {(1, 1)}


def test_four_methods_and_three_seeds_read_a_clip_once_and_each_question_once(
    new_engine, questions
):
    engine = new_engine(4)
    batch = engine.read(questions[:2], TOKENS)
    runs = [
        run_of(objective, seed, sampling__temperature=1.0)
        for objective in ("none", "switch", "min", "random")
        for seed in range(3)
    ]
    given = [answer for run in runs for answer in engine.answer(batch, run)]
    counts = {name: engine.counts[name] for name in list(engine.counts)[:4]}
    assert counts == {"vision": 1, "clip_prefill": 1, "question_prefill": 2, "answers": 24}
    assert len(given) == 24
    seeds = [answer.tokens.token.tolist() for answer in given[:6:2]]
    assert seeds[0] != seeds[1] != seeds[2] != seeds[0]
    assert set(engine.clock.stages) == {"vision", "prefill", "decode"}


def test_samples_of_one_question_are_its_answers_under_the_next_seeds(new_engine, wide):
    engine = new_engine(4)
    run = run_of("random")
    batch = engine.repeated(engine.read(wide[:1], TOKENS), 4)
    together = list(engine.decode(engine.start(batch, run, samples=True), run))
    samples = engine.answers(batch, together)
    assert len({answer.text for answer in samples}) == 4
    assert engine.counts["question_prefill"] == engine.counts["clip_prefill"] == 1
    alone = [answers(new_engine(), wide[:1], run_of("random", 3 + n))[0] for n in range(4)]
    assert_same_answers(samples, alone)


def test_forks_do_not_see_each_other(new_engine, questions):
    engine = new_engine(4)
    batch = engine.read(questions[:2], TOKENS)
    first = engine.answer(batch, run_of("min"))
    for objective in CHOSEN:
        engine.answer(batch, run_of(objective, 4))
    for ours, again in zip(first, engine.answer(batch, run_of("min")), strict=True):
        for values, others in zip(ours.tokens, again.tokens, strict=True):
            np.testing.assert_array_equal(values, others)


def test_the_clips_used_last_are_kept(new_engine, questions, monkeypatch):
    monkeypatch.setattr(prefixes, "KEPT", 2)
    engine = new_engine()
    for index in (0, 2, 0, 4, 1, 2):  # wide, wide too, wide, square, wide, wide too
        engine.read([questions[index]], TOKENS)
    assert engine.counts["clip_prefill"] == engine.counts["vision"] == 4


def test_a_clip_that_is_kept_serves_prompts_that_need_a_larger_cache(new_engine, questions):
    engine, run = new_engine(), run_of("switch")
    engine.read(questions[:1], TOKENS)
    larger = engine.read(questions[1:2], 1000)
    assert larger.cache.capacity == 1024 and engine.counts["clip_prefill"] == 1
    (got,) = engine.answer(larger, run)
    assert_same_answers([got], answers(new_engine(), questions[1:2], run))


def test_questions_of_any_length_number_and_size_share_their_programs(new_engine, questions):
    engine = new_engine(4)
    programs = (read_piece, take_rows, decode_chunk)

    def sizes():
        return [program._cache_size() for program in programs]

    def ask(group):
        for objective in ("none", "switch"):
            engine.answer(engine.read(group, TOKENS), run_of(objective))

    ask(questions[:2])
    compiled = sizes()
    ask(questions[3:4])  # another clip, another longest question, another number
    ask(questions[2:5])  # and clips of two sizes
    assert sizes() == compiled


def test_a_batch_beyond_memory_is_told_once_with_the_copies_that_it_takes(
    new_engine, questions, monkeypatch
):
    lines = []
    engine = new_engine(2, warn=lines.append)
    slots = 2 * (engine.read(questions[:2], TOKENS).cache.capacity + 32)  # and an answer's chunk
    sizes = engine.model.config, engine.dtype.itemsize
    # The clips', the batch's that waits for several runs, and a run's.
    two, three = (slots * memory.bytes_per_video_token(*sizes, caches=n) for n in (2, 3))
    monkeypatch.setattr(memory, "free_bytes", lambda device: three)
    assert engine.read(questions[:2], TOKENS).warnings == () and not lines
    monkeypatch.setattr(memory, "free_bytes", lambda device: two)
    for _ in range(2):
        assert engine.read(questions[:2], TOKENS).warnings == tuple(lines)
    assert len(lines) == 1 and "lower video.max_pixels" in lines[0]


def test_what_the_device_cannot_hold_is_said_with_what_to_lower(new_engine):
    told = pytest.raises(UserError, match=r"512 tokens and more do not fit; lower --batch-size")
    with told, new_engine(2).at_work(512, "decode"):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")


def test_too_many_questions_or_none_are_refused(engines, questions):
    with pytest.raises(ValueError, match="one question or more"):
        engines(2).read([], TOKENS)
    with pytest.raises(ValueError, match="expected 1 to 2"):
        engines(2).read(questions[:3], TOKENS)


def test_an_engine_without_users_is_freed_without_a_collector(new_engine):
    engine = new_engine()
    freed = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert freed() is None
    finally:
        gc.enable()


def test_a_long_answer_slows_no_later_one_about_its_clip(new_engine, place):
    engine, run = new_engine(), run_of("none")
    question = [engine.checkpoint.prepare(as_question(place / "clip.mp4", "Why?"), run)]
    first = engine.answer(engine.read(question, TOKENS), run)
    capacity = engine.read(question, TOKENS).cache.capacity
    assert engine.read(question, 9 * capacity).cache.capacity > 4 * capacity
    assert engine.read(question, TOKENS).cache.capacity == capacity
    assert_same_answers(engine.answer(engine.read(question, TOKENS), run), first)
    assert engine.counts["clip_prefill"] == 1


def test_earlier_clips_are_kept_where_memory_has_room(new_engine, place, monkeypatch):
    engine, run = new_engine(), run_of("none")
    questions = [
        engine.checkpoint.prepare(as_question(place / "clip.mp4", words), run) for words in WORDS
    ]
    others = engine.checkpoint.prepare(as_question(place / "other.mp4", "Why?"), run)
    for question in (questions[0], others, questions[1]):
        engine.read([question], TOKENS)
    assert engine.counts["clip_prefill"] == 2
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    for question in (others, questions[0], questions[1]):
        engine.read([question], TOKENS)
    assert engine.counts["clip_prefill"] == 3, "what is asked about stays, others go"


def test_memory_that_earlier_clips_give_back_is_not_warned_of(new_engine, place, monkeypatch):
    engine, run = new_engine(), run_of("none")
    clips = ("clip.mp4", "other.mp4")
    first, second = (
        [engine.checkpoint.prepare(as_question(place / clip, "Why?"), run)] for clip in clips
    )
    engine.read(first, TOKENS)
    free = iter([0, 2**40])  # before the first clip is given up, and after
    monkeypatch.setattr(memory, "free_bytes", lambda device: next(free))
    assert engine.read(second, TOKENS).warnings == ()
