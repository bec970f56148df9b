import json
import sys
import time
import types
from fractions import Fraction

import numpy as np
import pytest
from generate_runs import QUESTION, changed_model, end_of, rewrite_json, start_process

import vreason_jax
from vreason_jax import UserError
from vreason_jax.output.trace import TOKEN_KEYS
from vreason_jax.runtime.compilation import CompileClock

SHORT = {"sampling__max_new_tokens": 10}


@pytest.fixture(scope="module")
def reasoner(place):
    return vreason_jax.load(place / "model", **SHORT)


@pytest.fixture(scope="module")
def clip(place):
    return place / "clip.mp4"


# --- answers ------------------------------------------------------------------------------------


def test_an_answer_is_what_the_command_line_gives(reasoner, clip, run):
    answer = reasoner.generate(clip, QUESTION)
    printed = run.traced("--max-new-tokens", 10).trace
    assert (answer.text, answer.answer) == (printed["text"], printed["answer"])
    assert {key: answer.trace[key] for key in TOKEN_KEYS} == {
        key: printed[key] for key in TOKEN_KEYS
    }
    assert set(answer.trace) == set(printed)
    assert answer.trace["config"] == printed["config"]
    assert answer.seconds == answer.trace["seconds"]
    json.dumps(answer.trace, allow_nan=False)


def test_each_answer_of_a_batch_is_the_one_it_gets_alone(reasoner, clip, place):
    questions = [
        (clip, QUESTION),
        ([place / "other.mp4", str(clip)], "What is the same in both of these?"),
        (None, "Why?"),
        (place / "picture.png", "What is in this picture, and where?"),
    ]
    together = reasoner.generate_batch(questions)
    assert [answer.trace["tokens"]["video"] > 0 for answer in together] == [
        True,
        True,
        False,
        False,
    ]
    for question, answer in zip(questions, together, strict=True):
        alone = reasoner.generate(*question)
        assert answer.text == alone.text
        assert answer.trace["token_ids"] == alone.trace["token_ids"]
        assert answer.trace["updated"] == alone.trace["updated"]
        assert answer.trace["warnings"] == alone.trace["warnings"]
        assert answer.trace["videos"] == alone.trace["videos"]
        for key in TOKEN_KEYS:
            np.testing.assert_allclose(
                answer.trace[key], alone.trace[key], rtol=1e-4, atol=1e-4, err_msg=key
            )


def test_a_harness_gets_the_same_answer(reasoner, clip, monkeypatch):
    import stub_lmms_eval

    stub_lmms_eval.install(monkeypatch)
    monkeypatch.delitem(sys.modules, "vreason_jax.harnesses.lmms_eval", raising=False)
    from vreason_jax.harnesses.lmms_eval import VReason

    monkeypatch.setattr(vreason_jax, "load", lambda *names, **keys: reasoner, raising=False)
    parts = [{"type": "video", "url": str(clip)}, {"type": "text", "text": QUESTION}]
    model = VReason()
    model.task_dict["task"] = {"test": [[{"role": "user", "content": parts}]]}
    args = (QUESTION, lambda doc: doc, {"max_new_tokens": 10}, 0, "task", "test")
    (result,) = model.generate_until([types.SimpleNamespace(args=args)])
    answer = reasoner.generate(clip, QUESTION)
    assert result.text == answer.text
    tokens = answer.trace["tokens"]
    counts = result.token_counts
    assert (counts.input_tokens, counts.output_tokens) == (tokens["prompt"], tokens["generated"])


def test_a_seed_that_is_given_twice_is_refused(reasoner):
    with pytest.raises(UserError, match="seed: expected it once"):
        reasoner.generate(None, QUESTION, seed=1, sampling__seed=2)


def test_settings_of_one_call_hold_for_it_alone_and_load_nothing(reasoner, clip, monkeypatch):
    before = reasoner.generate(clip, QUESTION)
    monkeypatch.setattr("vreason_jax.engine.engine.load_model", None)
    changes = {
        "controller__learning_rate": 0.3, "controller__every": 2, "prune__fraction": 0.5,
        "sampling__max_new_tokens": 6, "sampling__temperature": 1.0,
    }  # fmt: skip
    changed = reasoner.generate(clip, QUESTION, seed=4, **changes)
    record = changed.trace["config"]
    assert len(changed.trace["token_ids"]) <= 6 and changed.trace["updated"][2]
    assert (record["sampling"]["seed"], record["controller"]["every"]) == (4, 2)
    again = reasoner.generate(clip, QUESTION)
    assert again.trace["token_ids"] == before.trace["token_ids"]
    assert again.trace["config"] == before.trace["config"]
    assert list(reasoner.stream(clip, QUESTION, sampling__max_new_tokens=3))
    (batch,) = reasoner.generate_batch([(clip, QUESTION)], sampling__max_new_tokens=3)
    assert len(batch.trace["token_ids"]) == 3
    with pytest.raises(UserError, match=r"nearest known one is 'controller.every'"):
        reasoner.generate(clip, QUESTION, controller__evry=3)
    with pytest.raises(UserError, match=r"pass it to vreason_jax.load"):
        reasoner.generate(clip, QUESTION, model__dtype="bfloat16")
    with pytest.raises(UserError, match=r"model.weights: the weights are loaded"):
        reasoner.generate(clip, QUESTION, model__weights="int8")
    assert reasoner.generate(clip, QUESTION, model__dtype="float32").text == before.text


def test_samples_come_from_one_reading_and_are_the_answers_of_single_calls(place, clip):
    reasoner = vreason_jax.load(place / "model", **SHORT, sampling__temperature=1.0)
    counts = reasoner.engine.counts
    samples = reasoner.generate(clip, QUESTION, seed=0, samples=4)
    assert (counts["clip_prefill"], counts["question_prefill"]) == (1, 1)
    assert len({answer.text for answer in samples}) == 4
    assert [a.trace["config"]["sampling"]["seed"] for a in samples] == [0, 1, 2, 3]
    for seed, answer in enumerate(samples):
        alone = reasoner.generate(clip, QUESTION, seed=seed)
        assert answer.trace["token_ids"] == alone.trace["token_ids"]
        np.testing.assert_allclose(answer.trace["logprob"], alone.trace["logprob"], atol=1e-4)
    assert counts["clip_prefill"] == 1, "questions about one clip share its reading"
    assert [a.text for a in reasoner.generate(clip, QUESTION, samples=1)] == [samples[0].text]


@pytest.mark.parametrize(
    ("samples", "temperature"), [(2, 0.0), (0, 1.0), (-1, 1.0), (2.0, 1.0), ("2", 1.0), (True, 1.0)]
)
def test_samples_that_would_be_one_or_none_are_refused(reasoner, clip, samples, temperature):
    with pytest.raises(UserError, match=r"^samples: expected"):
        reasoner.generate(clip, QUESTION, samples=samples, sampling__temperature=temperature)


def test_samples_whose_only_chance_steers_nothing_are_refused(reasoner):
    with pytest.raises(UserError, match=r"^samples: expected 1"):
        reasoner.generate(None, QUESTION, samples=2, controller__objective="random")


def test_chance_in_the_controller_makes_samples_differ(reasoner, clip):
    keys = {"controller__objective": "random", "sampling__max_new_tokens": 10}
    one, other = reasoner.generate(clip, QUESTION, samples=np.int64(2), **keys)
    assert one.trace["alpha"] != other.trace["alpha"]
    assert one != other and one in {one, other}


def test_an_empty_batch_has_no_answers(reasoner):
    assert reasoner.generate_batch(pair for pair in ()) == []


@pytest.mark.parametrize(
    "limits", [{"frames": -1}, {"samples": 0}, {"frames": 3.5}, {"words": -1}, {"words": None}]
)
def test_wrong_limits_of_a_warm_up_are_refused(reasoner, limits):
    with pytest.raises(UserError, match=rf"^{next(iter(limits))}: expected"):
        reasoner.warm_up(**limits)


def test_rows_of_a_batch_end_each_at_its_own_end_token(place, tmp_path, reasoner, clip):
    questions = [(clip, QUESTION), (None, "Why?")]
    first, second = (answer.trace["token_ids"] for answer in reasoner.generate_batch(questions))
    end = next(i for i in first if i not in second)
    model = changed_model(place, tmp_path / "model")
    rewrite_json(model / "generation_config.json", eos_token_id=[end])
    stopped, full = vreason_jax.load(model, **SHORT).generate_batch(questions)
    assert stopped.trace["token_ids"] == first[: first.index(end) + 1]
    assert stopped.trace["tokens"]["generated"] == len(stopped.trace["token_ids"])
    assert full.trace["token_ids"] == second


def test_frames_as_an_array_answer_like_the_same_frames_of_a_folder(reasoner, place):
    from PIL import Image

    files = sorted((place / "frames").iterdir())
    frames = np.stack([np.asarray(Image.open(file)) for file in files])
    by_array = reasoner.generate((frames, 2.0), QUESTION)
    by_folder = reasoner.generate(place / "frames", QUESTION)
    assert by_array.trace["token_ids"] == by_folder.trace["token_ids"]
    (array,), (folder,) = by_array.trace["videos"], by_folder.trace["videos"]
    assert (array["reader"], array["path"]) == ("array", None)
    assert array["frame_indices"] == folder["frame_indices"] and array["fps"] == folder["fps"]
    slower = reasoner.generate((frames, np.float32(0.1)), QUESTION)
    assert slower.trace["logprob"] != by_array.trace["logprob"]


def test_a_stream_yields_the_text_and_returns_the_answer(place, clip):
    reasoner = vreason_jax.load(
        place / "model", sampling__max_new_tokens=70, sampling__temperature=1.5
    )
    stream, pieces = reasoner.stream(clip, QUESTION), []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as stop:
            answer = stop.value
            break
    assert len([piece for piece in pieces if piece]) >= 2
    assert "".join(pieces) == answer.text == reasoner.generate(clip, QUESTION).text


def test_the_second_call_traces_and_compiles_nothing(reasoner, clip):
    reasoner.generate(clip, QUESTION)
    with CompileClock() as clock:
        reasoner.generate(clip, QUESTION.replace("?", "!"))
    assert clock.seconds == 0
    assert (clock.cache_hits, clock.cache_misses) == (0, 0)


def test_two_reasoners_live_side_by_side(reasoner, place, clip):
    plain = vreason_jax.load(place / "model", "baseline", **SHORT)
    before = reasoner.generate(clip, QUESTION)
    assert not any(plain.generate(clip, QUESTION).trace["alpha"])
    after = reasoner.generate(clip, QUESTION)
    assert before.trace["entropy"] == after.trace["entropy"]
    assert all(after.trace["alpha"])


def test_overrides_config_and_mesh_are_as_on_the_command_line(place, tmp_path):
    (tmp_path / "mine.toml").write_text("[controller]\nevery = 3\n")
    reasoner = vreason_jax.load(
        str(place / "model"),
        tmp_path / "mine.toml",
        "data=1,model=2",
        controller__learning_rate=1,
        video__num_frames=None,
        model__dtype="bfloat16",
    )
    run = reasoner.run
    assert (run.controller.every, run.controller.learning_rate) == (3, 1.0)
    assert run.video.num_frames is None
    assert reasoner.engine.mesh.shape == {"data": 1, "model": 2}
    assert reasoner.engine.model.decoder.embedding[...].dtype == "bfloat16"


def test_it_works_in_a_script_without_a_main_guard(place):
    script = (
        "import vreason_jax\n"
        f"reasoner = vreason_jax.load({str(place / 'model')!r}, sampling__max_new_tokens=3)\n"
        f"print(reasoner.generate({str(place / 'clip.mp4')!r}, 'Why?').trace['token_ids'])\n"
    )
    ended = end_of(start_process(["-c", script]))
    assert ended.code == 0, ended.err
    assert len(json.loads(ended.out)) == 3  # printed once: nothing ran the script again
    assert ended.err == ""


# --- wrong input --------------------------------------------------------------------------------

FRAMES = np.zeros((4, 56, 56, 3), np.uint8)


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ("missing.mp4", "missing.mp4: expected a file or a folder of frames"),
        (b"missing.mp4", "missing.mp4: expected a file or a folder of frames"),
        ("nul\0byte.mp4", "expected a file or a folder of frames"),
        (3, "expected a video as a path, .* got int"),
        (FRAMES, "expected a video as a path, .* got ndarray"),
        (("a.mp4", "b.mp4"), "expected a video as a path, .* got tuple"),
        ([["a.mp4"]], "expected a video as a path, .* got list"),
        ((FRAMES, 0), "expected a frame rate above 0"),
        ((FRAMES, float("nan")), "expected a frame rate above 0"),
        ((FRAMES[0], 2.0), "expected video frames as uint8"),
        ((FRAMES[:0], 2.0), "with at least one frame"),
        (([FRAMES[0], FRAMES[0][:8]], 2.0), "expected frames of one size"),
        ((FRAMES.astype(np.float32), 2.0), "expected video frames as uint8"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_wrong_video_is_a_user_error(reasoner, video, expected):
    with pytest.raises(UserError, match=expected):
        reasoner.generate(video, QUESTION)


@pytest.mark.parametrize("prompt", ["", " ", None, 3, "\ud800"])
def test_a_wrong_prompt_is_a_user_error(reasoner, prompt):
    with pytest.raises(UserError, match=r"^prompt: expected"):
        reasoner.generate(None, prompt)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"model": "no such folder!"}, "expected a checkpoint folder or a hub id"),
        ({"config": "no such config"}, "expected a TOML path or one of"),
        ({"mesh": "model=64"}, "needs 64 devices"),
        ({"controller__evry": 3}, "nearest known one is 'controller.every'"),
        ({"controller__every": 0}, "expected a value in"),
        ({"controller__every": "4"}, "expected a whole number, got '4'"),
        ({"every": 4}, "unknown config key 'every'"),
    ],
)
def test_a_wrong_argument_of_load_is_a_user_error(place, arguments, expected):
    with pytest.raises(UserError, match=expected):
        vreason_jax.load(**{"model": place / "model", **arguments})


# --- warnings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "questions", [None, 5, [5], ["clip"], [("clip", "Which?", 3)]], ids=lambda value: repr(value)
)
def test_a_batch_of_something_else_than_pairs_is_refused(reasoner, questions):
    with pytest.raises(UserError, match="expected pairs of video and prompt"):
        reasoner.generate_batch(questions)


@pytest.mark.parametrize("wrong", [{"model": 5}, {"mesh": 3}, {"config": {}}])
def test_what_is_no_name_is_refused(wrong):
    with pytest.raises(UserError, match=f"^{next(iter(wrong))}: expected"):
        vreason_jax.load(**wrong)


@pytest.mark.parametrize(
    "keys",
    [
        {"sampling__temperature": 1e-6},
        {"sampling__temperature": 1.0, "sampling__top_k": 1},
        {"controller__objective": "random"},
        {"controller__objective": "random", "controller__random_rate": 1.0},
        {"prune__fraction": 0.5, "prune__policy": "random", "controller__placement": "question"},
    ],
    ids=str,
)
def test_samples_that_are_all_the_same_are_refused(reasoner, keys):
    """Without a clip there are no slots of one to prune or to steer by chance."""
    with pytest.raises(UserError, match="where all are the same"):
        reasoner.generate(None, "Which?", samples=3, **keys)


def test_streams_side_by_side_count_their_own_time(reasoner, clip):
    """Time in which the engine serves another is nobody's: both together have no more than is."""
    began = time.perf_counter()
    streams = [reasoner.stream(clip, QUESTION, sampling__max_new_tokens=40) for _ in range(2)]
    ended: list = []
    while len(ended) < 2:
        for stream in streams:
            try:
                next(stream)
            except StopIteration as end:
                ended.append(end.value)
    wall = time.perf_counter() - began
    spent = [sum(answer.seconds[s] for s in ("prefill", "decode")) for answer in ended]
    assert 0 < sum(spent) <= wall


def test_an_empty_path_is_no_clip(reasoner):
    with pytest.raises(UserError, match="video: expected the path of a file or a folder"):
        reasoner.generate("", "Which?")


def test_a_batch_says_which_question_is_wrong(reasoner):
    with pytest.raises(UserError, match=r"^questions\[1\]: prompt: expected a question"):
        reasoner.generate_batch([(None, "Which?"), (None, "")])
    with pytest.raises(UserError, match="'foo'"):
        reasoner.generate_batch([], foo=1)


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"every": 2}, "'controller.every'"), ({"samples": 2}, "expected in generate alone")],
)
def test_a_key_without_its_table_is_told_where_it_is(reasoner, keys, said):
    with pytest.raises(UserError, match=said):
        reasoner.generate_batch([(None, "Which?")], **keys)


def test_the_deltas_norm_is_of_what_is_left_of_it(reasoner, clip):
    """The newest token's value alone is steered: the next one takes its place, and the delta."""
    keys = {"placement": "answer", "recent": 1, "every": 4, "learning_rate": 0.3}
    settings = {f"controller__{key}": value for key, value in keys.items()}
    trace = reasoner.generate(clip, QUESTION, sampling__max_new_tokens=8, **settings).trace
    norms = trace["delta_norm"]
    assert norms[4] > 0 and norms[5:8] == [0.0] * 3


def test_frame_rates_are_numbers_of_any_kind(reasoner):
    frames = np.zeros((2, 28, 28, 3), np.uint8)
    rates = (2.0, Fraction(2), np.array(2.0))
    texts = [reasoner.generate((frames, rate), QUESTION, seed=0).text for rate in rates]
    assert len(set(texts)) == 1
