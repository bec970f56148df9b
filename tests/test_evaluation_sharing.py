"""Sharing what was read, batches, company and meshes change no reply."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from small_model import config_of, quick_compiles

from vreason_jax.config import PRUNE_POLICIES
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.prefill import begin
from vreason_jax.decoding.reading import read_prefix, read_rest
from vreason_jax.engine import Checkpoint, Engine
from vreason_jax.evaluation import clips
from vreason_jax.evaluation.sharing import Asked, SharedReader
from vreason_jax.inputs import as_question
from vreason_jax.runtime.compilation import CompileClock
from vreason_jax.session import Session

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


@pytest.fixture(autouse=True)
def quick():
    with quick_compiles():
        yield


def run_of(objective, **changes):
    keys = {**LIVELY, **RUNS[objective], **changes}
    return config_of(controller__objective=objective, **keys)


@pytest.fixture(scope="module")
def engines(place):
    @functools.cache
    def engine(mesh="data=1"):
        return Engine(Checkpoint.open(place / "model", run_of("none")), mesh)

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
    prepare = engines().checkpoint.prepare
    return [
        Asked(prepare(as_question(clip, words)), name, words)
        for (name, clip), words in itertools.product(CLIPS.items(), WORDS)
    ]


def reader_of(engine, batch_size=1, **options):
    return SharedReader(engine, batch_size=batch_size, **options)


def replies(reader, questions, run, seed=3):
    """The replies, in order; questions of one size are read together."""
    found = {}
    for size in {size_of(asked) for asked in questions}:
        alike = [asked for asked in questions if size_of(asked) == size]
        for first in range(0, len(alike), reader.rows_per_batch):
            group = alike[first : first + reader.rows_per_batch]
            answers = reader.answer(reader.read(group), run, seed)
            found |= {id(asked): reply for asked, reply in zip(group, answers, strict=True)}
    return [found[id(asked)] for asked in questions]


def size_of(asked):
    return asked.prepared.prompt.shared_length


def assert_same_replies(got, expected):
    """Equal but for at most one in 200, which may part where two tokens are equally likely."""
    parted = 0
    for ours, theirs in zip(got, expected, strict=True):
        length = min(len(ours.token_ids), len(theirs.token_ids))
        differ = np.flatnonzero(ours.token_ids[:length] != theirs.token_ids[:length])
        if differ.size:
            parted += 1
            length = differ[0]
            pair = (reply.trace.logprob[length] for reply in (ours, theirs))
            np.testing.assert_allclose(*pair, atol=1e-4, rtol=0)
        for name, values in ours.trace._asdict().items():
            np.testing.assert_allclose(
                values[:length], getattr(theirs.trace, name)[:length],
                atol=2e-4, rtol=2e-4, err_msg=name,
            )  # fmt: skip
    assert parted <= len(got) / 200


@pytest.fixture(scope="module")
def wide(questions):
    """Two questions about each of the two clips of one size."""
    return questions[:4]


@pytest.fixture(scope="module")
def alone(engines, wide):
    """The replies to the wide clips' questions in batches of one, by run."""
    reader = reader_of(engines())

    @functools.cache
    def of(objective):
        return replies(reader, wide, run_of(objective))

    return of


def test_short_clips_are_read_together_and_long_ones_one_by_one(engines, wide, monkeypatch):
    sizes = []

    def recorded(model, token_ids, *rest):
        sizes.append(len(token_ids))
        return read_prefix(model, token_ids, *rest)

    monkeypatch.setattr(clips, "read_prefix", recorded)
    together = replies(reader_of(engines(), batch_size=4), wide, run_of("switch"))
    monkeypatch.setattr(clips, "TOKENS_AT_ONCE", 1)
    apart = replies(reader_of(engines(), batch_size=4), wide, run_of("switch"))
    assert sizes == [4, 1, 1], "two clips, and room for four"
    assert_same_replies(together, apart)


def one_shot(engine, asked, run):
    """The tokens that `generate` gives: the whole prompt is read at once, without padding."""
    checkpoint = dataclasses.replace(engine.checkpoint, run=run)
    engine.checkpoint, kept = checkpoint, engine.checkpoint
    try:
        return Session(engine, [asked.prepared], CompileClock()).finish()[0]
    finally:
        engine.checkpoint = kept


def assert_as_at_once(engine, asked, run):
    # The seed of a question is here its words, which is what `generate` takes.
    (reply,) = replies(reader_of(engine), [asked], run, run.sampling.seed)
    whole = one_shot(engine, asked, run)
    assert reply.token_ids.tolist() == whole.trace["token_ids"]
    assert reply.text == whole.text
    np.testing.assert_allclose(reply.trace.entropy, whole.trace["entropy"], atol=2e-4)
    np.testing.assert_allclose(reply.trace.delta_norm, whole.trace["delta_norm"], rtol=2e-4)


@pytest.mark.parametrize("policy", PRUNE_POLICIES)
def test_a_shared_prefix_gives_the_reply_of_the_prompt_read_at_once(engines, wide, policy):
    pruned = {"prune__fraction": 0.5, "prune__policy": policy}
    assert_as_at_once(engines(), wide[-1], run_of("switch", **pruned, sampling__seed=3))


# The others differ from `switch` in when and which way they step, which knows of no prompt.
@pytest.mark.parametrize("objective", ["none", "max", "random", "random_direction"])
def test_so_does_it_under_whatever_is_drawn_by_chance(engines, wide, objective):
    assert_as_at_once(engines(), wide[-1], run_of(objective, sampling__seed=3))


@pytest.mark.parametrize("media", [[frames(4, 28, 28), frames(5, 56, 28)], None])
def test_so_do_several_videos_and_none(engines, media):
    prepared = engines().checkpoint.prepare(as_question(media, WORDS[1]))
    assert_as_at_once(engines(), Asked(prepared, "media", WORDS[1]), run_of("switch"))


@pytest.mark.parametrize(("batch_size", "objective"), [(4, "min"), (4, "random"), (8, "random")])
def test_the_size_of_the_batch_changes_no_reply(engines, wide, alone, batch_size, objective):
    reader = reader_of(engines(), batch_size)
    assert_same_replies(replies(reader, wide, run_of(objective)), alone(objective))


def test_the_company_in_a_batch_changes_no_reply(engines, wide, alone):
    reader, run = reader_of(engines(), 4), run_of("random")
    expected = dict(zip(map(id, wide), alone("random"), strict=True))
    for group in (wide[::-1], [wide[0], wide[3], wide[0]], [wide[2]]):
        got = reader.answer(reader.read(group), run, 3)
        assert_same_replies(got, [expected[id(asked)] for asked in group])


@pytest.mark.parametrize(("mesh", "objective"), MESHES)
def test_eight_devices_reply_as_one(engines, wide, alone, mesh, objective):
    reader = reader_of(engines(mesh), 8 // engines(mesh).mesh.shape["data"])
    assert reader.rows_per_batch == 8
    assert_same_replies(replies(reader, wide, run_of(objective)), alone(objective))


def test_rows_lie_over_data_and_heads_over_model(engines, questions):
    batch = reader_of(engines("data=4,model=2"), 1).read(questions[:3])
    shards = batch.read.layers[0].keys.addressable_shards
    assert {shard.data.shape[:2] for shard in shards} == {(1, 1)}


def test_four_methods_and_three_seeds_read_a_clip_once_and_each_question_once(engines, questions):
    reader = reader_of(engines(), 4)
    batch = reader.read(questions[:2])
    drawn = {"sampling__temperature": 1.0}
    methods = [run_of(o, **drawn) for o in ("none", "switch", "min", "random")]
    answers = [
        reply for run in methods for seed in range(3) for reply in reader.answer(batch, run, seed)
    ]
    assert reader.counts == {
        "vision": 1, "clip_prefill": 1, "question_prefill": 2, "answers": 24,
    }  # fmt: skip
    assert len(answers) == 24
    seeds = [reply.token_ids.tolist() for reply in answers[:6:2]]
    assert seeds[0] != seeds[1] != seeds[2] != seeds[0]
    assert set(reader.clock.stages) == {"vision", "prefill", "decode"}


def test_forks_do_not_see_each_other(engines, questions):
    reader = reader_of(engines(), 4)
    batch = reader.read(questions[:2])
    first = reader.answer(batch, run_of("min"), 3)
    for objective in CHOSEN:
        reader.answer(batch, run_of(objective), 4)
    for ours, again in zip(first, reader.answer(batch, run_of("min"), 3), strict=True):
        for values, others in zip(ours.trace, again.trace, strict=True):
            np.testing.assert_array_equal(values, others)


def test_the_clips_used_last_are_kept(engines, questions):
    reader = reader_of(engines(), clips=2)
    for index in (0, 2, 0, 4, 1, 2):  # wide, wide too, wide, square, wide, wide too
        reader.read([questions[index]])
    assert reader.counts["clip_prefill"] == reader.counts["vision"] == 4


def test_questions_of_a_few_lengths_and_any_number_share_their_programs(engines, questions):
    reader = reader_of(engines(), 4)
    programs = (read_prefix, read_rest, begin, decode_chunk)

    def sizes():
        return [program._cache_size() for program in programs]

    def ask(group):
        for objective in ("none", "min"):
            reader.answer(reader.read(group), run_of(objective), 0)

    ask(questions[:2])
    compiled = sizes()
    ask(questions[3:4])  # another clip, another longest question, another number
    assert sizes() == compiled


def test_questions_of_two_sizes_or_too_many_are_refused(engines, questions):
    with pytest.raises(ValueError, match="end at one token"):
        reader_of(engines(), 4).read([questions[0], questions[4]])
    for group in ([], questions[:3]):
        with pytest.raises(ValueError, match="expected 1 to 2"):
            reader_of(engines(), 2).read(group)
