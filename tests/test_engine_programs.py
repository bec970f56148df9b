"""How many programs questions take: few, and none after a warm-up."""

import contextlib
import json

import family_checkpoints
import jax
import numpy as np
import pytest

import vreason_jax
from vreason_jax.config import load_config
from vreason_jax.engine.engine import Engine
from vreason_jax.engine.warm_up import Limits, warm_up
from vreason_jax.evaluation.running.methods import load_methods
from vreason_jax.questions import as_question
from vreason_jax.shapes import sample

WORDS = ("red", "circle", "goes", "down", "behind", "a", "gray", "block")
COMPILED = "/jax/core/compile/backend_compile_duration"


@contextlib.contextmanager
def programs():
    """Counts the programs that are compiled inside, whoever starts them."""
    found = []

    def listen(event, duration, **facts):
        if event == COMPILED:
            found.append(facts.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def questions(count, seed=0, frames=(4, 41)):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        shown, words = rng.integers(*frames), rng.integers(4, 61)
        height, width = rng.integers(60, 241, 2)
        clip = rng.integers(0, 256, (shown, height, width, 3), np.uint8)
        yield (clip, 2.0), " ".join(rng.choice(WORDS, words))


@pytest.fixture(scope="module")
def reasoner():
    return vreason_jax.load(mesh="data=1", sampling__max_new_tokens=34)


@pytest.fixture(scope="module")
def qwen3_vl(tmp_path_factory):
    """Its template says much before the clip; of 8 to 32 tokens are its patches."""
    folder = family_checkpoints.write(tmp_path_factory.mktemp("qwen3_vl"))
    template = {"chat_template": f"{'once more ' * 40}{family_checkpoints.WITHOUT_SYSTEM}"}
    (folder / "chat_template.json").write_text(json.dumps(template), encoding="utf-8")
    sizes = {"video__min_pixels": 512, "video__max_pixels": 2048}
    return vreason_jax.load(folder, mesh="data=1", sampling__max_new_tokens=34, **sizes)


@pytest.mark.parametrize("family", ["reasoner", "qwen3_vl"])
def test_clips_of_every_size_share_few_programs_and_pad_little(family, request):
    reasoner = request.getfixturevalue(family)
    with programs() as first:
        for clip, words in questions(14):
            reasoner.generate(clip, words)
    assert 0 < len(first) <= 12, first
    counts = reasoner.engine.counts
    used, computed = (
        counts[text] + counts[vision]
        for text, vision in (("prompt_tokens", "vision_patches"), ("prompt_slots", "vision_slots"))
    )
    assert 1 - used / computed <= 0.25


@pytest.mark.parametrize(("family", "frames"), [("reasoner", 40), ("qwen3_vl", 4)])
def test_no_program_comes_after_a_warm_up(family, frames, request):
    reasoner = request.getfixturevalue(family)
    counts = dict(reasoner.engine.counts)
    reasoner.warm_up(frames=frames)
    assert reasoner.engine.counts == counts  # zeros are no padding of a prompt
    with programs() as later:
        for clip, words in questions(6, seed=1, frames=(2, frames + 1)):
            reasoner.generate(clip, words)
        for words in ("What?", 60 * "word "):  # the clip's cache grows for the second
            reasoner.generate(clip, words)
    assert later == []


def test_the_methods_of_an_experiment_share_their_programs(reasoner):
    methods = load_methods([], "overview", protocol={}, overrides={"sampling.max_new_tokens": 34})
    assert len(methods) == 24
    first = reasoner.engine
    engine = Engine(first.checkpoint, first.model, first.mesh, batch_size=2)
    run = load_config("baseline")
    samples = [sample("test", index) for index in range(2)]
    pair = [
        engine.checkpoint.prepare(as_question((s.frames, s.fps), s.question), run) for s in samples
    ]
    jax.clear_caches()  # other tests may have compiled what these methods take
    with programs() as found:
        batch = engine.read(pair, 34)
        for method in methods.values():
            engine.answer(batch, method)
    assert 0 < len(found) <= 8, found


def test_clips_of_many_aspect_ratios_share_their_programs_under_several_methods(reasoner):
    first, rng = reasoner.engine, np.random.default_rng(3)
    engine = Engine(first.checkpoint, first.model, first.mesh, batch_size=4)
    overrides = {"sampling.max_new_tokens": 20}
    runs = [load_config(name, overrides) for name in ("baseline", "vreason", "lite")]
    rows = []
    for ratio, frames in zip(np.geomspace(0.4, 2.5, 12), (4, 6, 8) * 4, strict=True):
        height, width = (72_000 / ratio) ** 0.5, (72_000 * ratio) ** 0.5
        clip = rng.integers(0, 256, (frames, int(height), int(width), 3), np.uint8)
        rows.append(engine.checkpoint.prepare(as_question((clip, 2.0), "What is it?"), runs[0]))
    jax.clear_caches()
    with programs() as found:
        for start in range(0, len(rows), 4):
            batch = engine.read(rows[start : start + 4], 20)
            for run in runs:
                engine.answer(batch, run)
    assert 0 < len(found) <= 16, found


def test_after_a_warm_up_batches_under_several_methods_compile_nothing(reasoner):
    first = reasoner.engine
    engine = Engine(first.checkpoint, first.model, first.mesh, batch_size=2)
    overrides = {"sampling.max_new_tokens": 34, "video.num_frames": 4}
    runs = [load_config(name, overrides) for name in ("baseline", "vreason", "lite")]
    limits = Limits.of(engine.checkpoint, runs[0], question=128)
    with programs() as ahead:
        assert warm_up(engine, runs, limits) == len(ahead) > 0
    rows = [
        engine.checkpoint.prepare(as_question(clip, words), runs[0])
        for clip, words in questions(6, seed=2)
    ]
    with programs() as later:
        for pair in (rows[:2], rows[2:4], [rows[4], rows[4]], [rows[0], rows[5]], rows[3:4]):
            batch = engine.read(pair, 34)
            for run in runs:
                engine.answer(batch, run)
    assert later == []


@pytest.mark.parametrize("case", ["samples", "words"])
def test_no_program_comes_after_a_warm_up_for_what_is_asked(case, reasoner):
    """Several samples of an answer, or questions without a clip."""
    jax.clear_caches()
    limits = {"frames": 4, "samples": 3} if case == "samples" else {"frames": 0}
    keys = {"sampling__temperature": 1.0, "sampling__max_new_tokens": 34}
    reasoner.warm_up(**limits, words=16, **keys)
    if case == "words":
        reasoner.warm_up(**limits, words=16, controller__placement="prompt", **keys)
    with programs() as later:
        if case == "samples":
            for clip, words in questions(2, seed=2, frames=(2, 5)):
                reasoner.generate(clip, words[:16], samples=3, **keys)
        else:
            for words in ("Why?", 12 * "word "):
                reasoner.generate(None, words, **keys)
            reasoner.generate(None, "Why?", controller__placement="prompt", **keys)
    assert later == []
