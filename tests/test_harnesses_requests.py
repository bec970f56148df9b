"""lmms-eval's requests as this package's questions and settings."""

import pytest
from PIL import Image

from vreason_jax.errors import UserError
from vreason_jax.harnesses import requests as asked
from vreason_jax.questions import ImageFile, VideoFile


@pytest.mark.parametrize(
    ("gen_kwargs", "keys"),
    [
        ({"max_new_tokens": 16, "until": ["\n\n"]}, {"sampling.max_new_tokens": 16}),
        (
            {"temperature": 0.7, "top_p": 0.9, "do_sample": True, "num_beams": 1},
            {"sampling.temperature": 0.7, "sampling.top_p": 0.9},
        ),
        ({"temperature": 0.7, "top_p": 0.9, "do_sample": False}, {"sampling.temperature": 0.0}),
        ({"do_sample": 0, "max_gen_toks": 8}, {
            "sampling.temperature": 0.0, "sampling.max_new_tokens": 8,
        }),
        ({"do_sample": "False", "temperature": 0.7}, {"sampling.temperature": 0.0}),
        ({"do_sample": True, "max_tokens": 8}, {
            "sampling.temperature": 1.0, "sampling.max_new_tokens": 8,
        }),
        ({"do_sample": None, "temprature": 1}, {}),
        ({"temperature": 0, "top_p": 0}, {"sampling.temperature": 0}),
        ({"top_p": None, "image_aspect_ratio": "pad"}, {}),
        (
            {"video.max_frames": 8, "controller__every": 2},
            {"video.max_frames": 8, "controller.every": 2},
        ),
    ],
)  # fmt: skip
def test_generation_kwargs_become_config_keys(gen_kwargs, keys):
    assert asked.overrides(gen_kwargs) == keys


@pytest.mark.parametrize(
    ("gen_kwargs", "message"),
    [
        ({"num_beams": 4}, r"^num_beams: expected 1, got 4"),
        ({"do_sample": "maybe"}, r"^do_sample: expected true or false, got 'maybe'"),
        ({"seed": "x"}, r"^sampling.seed: expected a whole number, got 'x'"),
        ({"controller.placement": ["video"]}, r"^controller.placement: expected text, got"),
    ],
)
def test_what_cannot_be_is_refused(gen_kwargs, message):
    with pytest.raises(UserError, match=message):
        asked.overrides(gen_kwargs)


def test_a_temperature_of_the_model_stays_where_a_task_asks_for_samples():
    assert asked.overrides({"do_sample": True}, tempered=True) == {}


def test_names_that_are_passed_over_are_named_but_for_the_usual_ones():
    usual = {"until": ["a"], "do_sample": False, "use_cache": True, "max_gen_toks": 3, "top_p": 1}
    (line,) = asked.passed_over({**usual, "temprature": 1, "video.max_frames": 2})
    assert "'temprature' is passed over" in line and "'temperature'" in line


@pytest.mark.parametrize(
    ("until", "text", "left"),
    [
        (["\n\n"], "a\n\nb", "a\n\nb"),
        (["END", "."], "a. b END", "a"),
        ("END", "a END b", "a "),
        (None, "a", "a"),
        (7, "1 7 2", "1 "),
        ([7], "1 7 2", "1 "),
        (["", "x"], "a", "a"),
    ],
)
def test_an_answer_ends_before_the_first_stop(until, text, left):
    assert asked.cut(text, asked.stops({"until": until})) == left


def test_a_turn_is_its_words_and_its_media_in_order():
    content = [
        {"type": "text", "text": "Look: "},
        {"type": "video", "url": "a.mp4"},
        {"type": "image", "url": "b.png"},
        {"type": "text", "text": "what?"},
    ]
    turn = [{"role": "user", "content": content}]
    assert asked.words(turn) == "Look: what?"
    assert asked.media_of(turn) == content[1:3]
    assert asked.clip_key(turn) == "a.mp4\nb.png"
    assert asked.words([{"role": "user", "content": "bare"}]) == "bare"


def test_parts_of_words_get_lines_of_their_own_and_words_before_a_medium_are_seen():
    look, what, clip = (
        {"type": "text", "text": "Look:"},
        {"type": "text", "text": "what?"},
        {"type": "video", "url": "a.mp4"},
    )
    before, behind = ([{"role": "user", "content": c}] for c in ([look, clip, what], [clip, what]))
    assert asked.words(before) == "Look:\nwhat?"
    assert asked.begins_with_words(before) and not asked.begins_with_words(behind)


@pytest.mark.parametrize("roles", [("system", "user"), ("user", "assistant", "user"), ()])
def test_several_turns_are_refused(roles):
    with pytest.raises(UserError, match="expected one turn of the user, got turns of"):
        asked.words([{"role": role, "content": "a"} for role in roles])


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ({"type": "video", "url": "a.mp4"}, VideoFile("a.mp4")),
        ({"type": "video", "url": "file:///a/b.mp4"}, VideoFile("/a/b.mp4")),
        (
            {"type": "video", "url": "a.mp4", "start_time": 1.0, "end_time": 2.5},
            VideoFile("a.mp4", start=1.0, end=2.5),
        ),
        (
            {"type": "video", "url": {"path": "a.mp4", "video_start": 3.0}},
            VideoFile("a.mp4", start=3.0),
        ),
        ({"type": "image", "url": "a.bin"}, ImageFile("a.bin")),
        ({"type": "video", "url": "a.PNG"}, ImageFile("a.PNG")),
    ],
)
def test_paths_become_sources(tmp_path, part, source):
    assert asked.source(part, tmp_path) == source


def test_a_picture_in_memory_becomes_a_file_each(tmp_path):
    sources = [
        asked.source({"type": "image", "url": Image.new("P", (9, 7))}, tmp_path) for _ in range(2)
    ]
    assert len({source.path for source in sources}) == 2
    for source in sources:
        with Image.open(source.path) as picture:
            assert picture.size == (9, 7)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "audio", "url": "a.wav"},
        {"type": "video", "url": ["1.png", "2.png"]},
        {"type": "video", "url": {"fps": 2}},
        {"type": "image"},
    ],
)
def test_other_media_are_refused(tmp_path, part):
    with pytest.raises(UserError, match="expected a path of a video, or an image, got"):
        asked.source(part, tmp_path)
