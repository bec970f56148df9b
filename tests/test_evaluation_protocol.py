"""Protocols: what is asked, letter by letter, which keys they set, and whose wording it is."""

import dataclasses
import hashlib
import json

import pytest

from vreason_jax.config import load_config
from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, KINDS, NUMBER, REGRESSION, Record
from vreason_jax.evaluation.readers import BENCHMARKS, read_benchmark
from vreason_jax.evaluation.scoring import template
from vreason_jax.evaluation.scoring.protocol import (
    FOLDER,
    default_protocol,
    load_protocol,
)
from vreason_jax.settings import apply_overrides
from vreason_jax.shapes import sample

RECORD = Record("1", "mmvu", "1.mp4", "What falls?", ("A. cup", "B. hat"), "B", CHOICE, "Law")
SUFFIXES = {CHOICE: " letter", NUMBER: " number", REGRESSION: " number", FREE: " words"}


def bare(**changes):
    base = load_protocol("video_r1")
    return dataclasses.replace(base, template="<{question}>", suffixes=SUFFIXES, **changes)


def template_file(tmp_path, **values):
    path = tmp_path / "wording.json"
    path.write_text(json.dumps(values))
    return path


def test_options_follow_the_problem_without_anything_between():
    assert bare().question_text(RECORD) == "<What falls?Options:\nA. cup\nB. hat\n> letter"
    number = dataclasses.replace(RECORD, kind=NUMBER, options=(), gold="2")
    assert bare().question_text(number) == "<What falls?> number"
    braces = dataclasses.replace(number, problem="{x} {question} %s")
    assert bare().question_text(braces) == "<{x} {question} %s> number"
    assert (bare().wrapping(braces), bare().words(braces)) == (
        "<{question}> number",
        braces.problem,
    )


def test_our_wording_asks_for_reasoning_and_an_answer_in_tags():
    protocol = load_protocol("video_r1")
    assert protocol.template.startswith("{question}\n")
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        assert tag in protocol.template
    assert set(protocol.suffixes) == set(KINDS)
    assert all(s.startswith(" ") and s[1] != " " for s in protocol.suffixes.values())
    assert protocol.origin == "own"
    wording = [protocol.template.replace("{question}", "{Question}"), *protocol.suffixes.values()]
    published = {template.VIDEO_R1_TEMPLATE, *template.VIDEO_R1_SUFFIXES.values()}
    assert not published & {hashlib.sha256(text.encode()).hexdigest() for text in wording}


def test_the_keys_that_a_protocol_sets():
    config = apply_overrides(load_config(), load_protocol("video_r1").run_overrides())
    assert (config.video.max_frames, config.video.num_frames) == (16, None)
    assert (config.video.min_pixels, config.video.max_pixels) == (128 * 28 * 28, 256 * 28 * 28)
    assert (config.sampling.max_new_tokens, config.sampling.temperature) == (1024, 0.0)
    shapes = load_protocol("shapes").run_overrides()
    assert shapes["sampling.max_new_tokens"] == 320
    assert "video.max_pixels" not in shapes  # its checkpoint has its own


def test_shapes_is_asked_as_its_model_was_trained():
    protocol = load_protocol(default_protocol("shapes"))
    for record in read_benchmark("shapes", limit=8).records:
        index = int(record.video.split("-")[1])
        assert protocol.question_text(record) == sample("test", index).question
    assert default_protocol("mmvu") == "video_r1"


def test_which_records_a_protocol_asks():
    opened = dataclasses.replace(RECORD, kind=FREE, options=())
    cut = dataclasses.replace(RECORD, start=1.0, end=2.0, subtitles="s.srt")
    whole = dataclasses.replace(RECORD)
    assert load_protocol("video_r1").select((opened, cut)) == (whole,)
    timed = dataclasses.replace(RECORD, start=1.0, end=2.0)
    assert load_protocol("official").select((opened, cut)) == (opened, timed)


def test_the_last_frame_is_explained_by_the_official_protocol_alone():
    asked = dataclasses.replace(
        RECORD, benchmark="videommmu", problem="Look at <image 1>.", task="Adaptation"
    )
    picture = dataclasses.replace(asked, picture_in_last_frame=True)
    lecture = dataclasses.replace(asked, task="Perception", problem="Which?")
    official = load_protocol("official")
    assert official.question_text(picture).startswith(official.picture + "\nLook at <image 1>.\nA.")
    assert official.question_text(lecture).startswith(official.lecture + "\nWhich?\nA.")
    assert bare().question_text(picture).startswith("<Look at .Options:")
    assert bare().question_text(lecture).startswith("<Which?Options:")


def test_tempcompass_is_officially_asked_for_yes_or_no():
    record = dataclasses.replace(RECORD, task="yes_no", options=("A. yes", "B. no"))
    official = load_protocol("official")
    assert official.question_text(record) == "What falls?" + official.suffixes["yes_no"]


def test_subtitles_stand_before_the_question():
    official = load_protocol("official")
    text = official.question_text(RECORD, "one\ntwo")
    assert text.startswith(f"{official.subtitle_words}\none\ntwo\nWhat falls?\nA. cup")


def test_a_template_file_is_used_and_video_r1s_is_known_by_its_hash(tmp_path, monkeypatch):
    path = template_file(tmp_path, QUESTION_TEMPLATE="Q {Question}", TYPE_TEMPLATE=SUFFIXES)
    protocol = load_protocol("video_r1", path)
    assert protocol.question_text(RECORD) == "Q What falls?Options:\nA. cup\nB. hat\n letter"
    assert protocol.origin == "file"
    hashes = {kind: hashlib.sha256(text.encode()).hexdigest() for kind, text in SUFFIXES.items()}
    monkeypatch.setattr(template, "VIDEO_R1_TEMPLATE", hashlib.sha256(b"Q {Question}").hexdigest())
    monkeypatch.setattr(template, "VIDEO_R1_SUFFIXES", hashes)
    assert load_protocol("video_r1", path).origin == "video_r1"
    assert "recognised" in load_protocol("video_r1", path).notes("mmvu")[0]
    changed = template_file(
        tmp_path, template="Q {question}", suffixes=SUFFIXES | {FREE: " other words"}
    )
    assert load_protocol("video_r1", changed).origin == "file"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"template": "no slot"}, "lacks {question}"),
        ({"suffixes": {}}, "to hold `template`"),
        ({"template": "{question}", "suffixes": {"riddle": "x"}}, "got 'riddle'"),
        ({"template": "{question}", "suffixes": {CHOICE: 3}}, "expected suffixes as texts"),
    ],
)
def test_a_template_file_that_will_not_do(tmp_path, values, expected):
    with pytest.raises(UserError, match="--template") as caught:
        load_protocol("video_r1", template_file(tmp_path, **values))
    assert expected in str(caught.value)
    (tmp_path / "wording.json").write_text("{")
    with pytest.raises(UserError, match="expected a JSON or TOML file"):
        load_protocol("video_r1", tmp_path / "wording.json")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_frames = 16", "max_framse = 16", "nearest known one is 'video.max_frames'"),
        ("max_frames = 16", "max_frames = true", "max_frames: expected a whole number, got True"),
        ("max_new_tokens = 320", "max_new_tokens = 0", "sampling.max_new_tokens"),
        ('rule = "tags"', 'rule = "mood"', "scoring.rule: expected one of"),
        ('options = "lines"', 'options = "rows"', "prompt.options: expected one of"),
        ('template = "{question}"', 'template = "?"', "lacks {question}"),
        ('rule = "tags"', "", "expected the key scoring.rule"),
        ("[video]", "[[video", "not valid TOML"),
    ],
)
def test_a_protocol_file_that_will_not_do(tmp_path, old, new, expected):
    path = tmp_path / "mine.toml"
    path.write_text((FOLDER / "shapes.toml").read_text())
    assert load_protocol(str(path)).name == "mine"
    path.write_text((FOLDER / "shapes.toml").read_text().replace(old, new))
    with pytest.raises(UserError) as caught:
        load_protocol(str(path))
    assert expected in str(caught.value)


def test_an_unknown_protocol_names_the_known():
    with pytest.raises(UserError, match="official, shapes, video_r1"):
        load_protocol("video-r2")


def test_notes_say_where_a_rule_stands_in_for_a_judge():
    official, r1 = load_protocol("official"), load_protocol("video_r1")
    assert any("GPT-4o" in note for note in official.notes("mmvu"))
    assert any("ChatGPT" in note for note in official.notes("tempcompass"))
    assert any("whole" in note for note in r1.notes("mvbench"))
    assert all("worded by this project" in r1.notes(name)[0] for name in BENCHMARKS)
    assert load_protocol("shapes").notes("shapes") == []
    assert json.loads(json.dumps(r1.to_dict()))["name"] == "video_r1"
