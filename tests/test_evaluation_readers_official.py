"""What each benchmark's own layout says, record by record."""

import json
from pathlib import Path

import benchmark_files as files
import numpy as np
import pytest

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks import mmvu, shapes, videommmu
from vreason_jax.evaluation.benchmarks.locate import locate
from vreason_jax.evaluation.benchmarks.record import CHOICE, FREE, NUMBER, REGRESSION
from vreason_jax.evaluation.readers import read_benchmark
from vreason_jax.shapes import KINDS, sample

PUBLISHED = Path(__file__).parents[2] / "shared" / "published" / "rows"
needs_published = pytest.mark.skipif(
    not PUBLISHED.is_dir(),
    reason="put real rows of the benchmarks into ../shared/published/rows to check them here",
)


def test_vsibench_has_four_numeric_types_and_six_lettered_ones(tmp_path):
    records = {r.task: r for r in read_benchmark("vsibench", files.vsibench(tmp_path)).records}
    assert len(records) == 10
    kinds = [records[task].kind for task in records]
    assert kinds == [REGRESSION] * 4 + [CHOICE] * 6
    lamp = records["object_rel_direction_hard"]
    assert (lamp.gold, lamp.options) == ("B", ("A. left", "B. right"))
    assert (lamp.video, lamp.subset) == ("scannet/scene0001_00.mp4", "scannet")
    assert records["object_counting"].gold == "4"


def test_videommmu_has_a_track_in_its_ids_and_the_picture_in_the_last_frame(tmp_path):
    records = {r.id: r for r in read_benchmark("videommmu", files.videommmu_(tmp_path)).records}
    native = "validation_Music_9"
    assert set(records) == {
        *(f"{track}/{native}" for track in videommmu.TRACKS),
        "Adaptation/validation_Chemistry_13",
        "Adaptation/validation_Physics_21",
    }
    assert [r.id for r in records.values() if r.picture_in_last_frame] == [
        r.id for r in records.values() if r.task == "Adaptation"
    ]
    music = records[f"Comprehension/{native}"]
    assert (music.gold, music.kind, music.subset) == ("C", CHOICE, "Art")
    assert music.options == ("A. the first", "B. the second", "C. the third")
    number = records["Adaptation/validation_Chemistry_13"]
    assert (number.gold, number.kind, number.options) == ("12.97", NUMBER, ())
    letter = records["Adaptation/validation_Physics_21"]
    assert (letter.gold, letter.kind, letter.options) == ("A", CHOICE, ())


def test_videommmu_also_comes_as_rows_in_a_folder_per_track(tmp_path):
    row = {"id": "dev_Biology_3", "question": "Which?", "options": ["x", "y"], "answer": "B"}
    files.put_lines(tmp_path / "Perception" / "test.jsonl", [row])
    files.put_json(tmp_path / "Adaptation" / "rows.json", [row])
    data = read_benchmark("videommmu", tmp_path)
    assert [r.id for r in data.records] == ["Perception/dev_Biology_3", "Adaptation/dev_Biology_3"]
    assert data.notices == (f"{tmp_path}: no annotation of Comprehension; it is left out",)
    assert videommmu.gold_numbers("['24/7', '3.429', '3.43]") == ["24/7", "3.429", "3.43"]
    assert videommmu.gold_numbers("12.97") == ["12.97"]


def test_mmvu_has_five_options_or_an_open_answer(tmp_path):
    lettered, opened = read_benchmark("mmvu", files.mmvu(tmp_path)).records
    assert (lettered.kind, lettered.gold, lettered.options[4]) == (CHOICE, "E", "E. a pit")
    assert (opened.kind, opened.gold, opened.options) == (FREE, "shoring", ())
    assert lettered.video == "videos/Civil_Engineering/3.mp4"
    assert (lettered.task, lettered.subset) == ("Civil Engineering", "Engineering")
    assert sum(map(len, mmvu.DISCIPLINES.values())) == 27


def test_mvbench_has_tasks_with_times_and_folders_of_frames(tmp_path):
    data = read_benchmark("mvbench", files.mvbench_(tmp_path))
    records = {r.id: r for r in data.records}
    assert len(data.notices) == 17  # of twenty tasks
    first = records["action_sequence/1"]
    assert (first.gold, first.options[1]) == ("B", "B. It rose.")
    assert (first.start, first.end) == (0.2, 0.8)
    assert first.video == "star/Charades_v1_480/clip.mp4"
    assert records["moving_count/2"].start is None
    episode = records["episodic_reasoning/1"]
    assert (episode.video, episode.folder_fps) == ("tvqa/frames_fps3_hq/s01e01", 3.0)
    path = tmp_path / "json" / "action_sequence.json"
    rows = json.loads(path.read_text())
    rows[0] |= {"end": 0.1}
    rows[1] |= {"answer": "It sang."}
    files.put_json(path, rows)
    one, two = read_benchmark("mvbench", tmp_path).refused
    assert "expected two times in order, got [0.2, 0.1]" in one
    assert "expected one of the candidates" in two


def test_tempcompass_has_four_kinds_of_question(tmp_path):
    records = {
        r.task: r for r in read_benchmark("tempcompass", files.tempcompass_(tmp_path)).records
    }
    chosen, yes_no, matched, captioned = records.values()
    assert (chosen.problem, chosen.gold) == ("Where to?", "C")
    assert chosen.options == ("A. up", "B. down", "C. away")
    assert chosen.id == "multi-choice/77/direction/2" and chosen.subset == "direction"
    assert (yes_no.problem, yes_no.options, yes_no.gold) == ("Is it up?", ("A. yes", "B. no"), "B")
    assert (matched.problem, matched.gold) == ("Which fits?", "B")
    assert matched.options == ("A. It goes up.", "B. It goes down.")
    assert (captioned.kind, captioned.gold, len(captioned.options)) == (FREE, "B", 2)
    assert "Information A" in captioned.problem


def test_videomme_has_three_lengths_and_subtitles_where_they_lie(tmp_path):
    records = read_benchmark("videomme", files.videomme(tmp_path)).records
    assert [r.subset for r in records] == ["short", "medium", "long"]
    assert {r.subtitles for r in records} == {"subtitle/aB-1.srt"}
    assert {r.video for r in records} == {"data/aB-1.mp4"}
    (tmp_path / "subtitle" / "aB-1.srt").unlink()
    assert {r.subtitles for r in read_benchmark("videomme", tmp_path).records} == {None}


def test_videomme_also_comes_with_the_questions_of_each_video(tmp_path):
    row = files.videomme_rows()[0]
    keys = ("question_id", "task_type", "question", "options", "answer")
    entry = {key: value for key, value in row.items() if key not in (*keys, "videoID")}
    entry["questions"] = [
        {key: row[key] for key in keys} | {"question_id": f"001-{n}"} for n in (1, 2)
    ]
    files.put_json(tmp_path / "videomme.json", [entry])
    records = read_benchmark("videomme", tmp_path).records
    assert [(r.id, r.video) for r in records] == [
        ("001-1", "data/aB-1.mp4"), ("001-2", "data/aB-1.mp4"),
    ]  # fmt: skip


def test_videommev2_has_eight_options_in_a_text_and_levels_or_none(tmp_path):
    records = read_benchmark("videommev2", files.videommev2(tmp_path)).records
    assert [r.id for r in records] == ["001-1", "001-2", "001-3", "001-4"]
    assert [r.subset for r in records] == ["level 1", "level 2", "", ""]
    first = records[0]
    assert (first.gold, first.task, first.video) == ("H", "logic", "videos/001.mp4")
    assert first.options == tuple(f"{letter}. part {letter}" for letter in "ABCDEFGH")
    rows = [json.loads(line) for line in (tmp_path / "test.jsonl").read_text().splitlines()]
    files.put_lines(tmp_path / "test.jsonl", [rows[0] | {"level": 4}, *rows[1:]])
    (refused,) = read_benchmark("videommev2", tmp_path).refused
    assert "'level': expected 1, 2, 3 or none, got 4" in refused


def test_videoholmes_counts_questions_in_each_video_and_finds_its_videos(tmp_path):
    records = read_benchmark("videoholmes", files.videoholmes(tmp_path)).records
    assert [(r.id, r.task) for r in records] == [
        ("aB-1/1", "TCI"),
        ("aB-1/2", "TCI"),
        ("x/1", "SR"),
    ]
    assert records[0].gold == "C" and records[0].options[5] == "F. reason F"
    found = locate(records[0], tmp_path)
    assert found == tmp_path / "Benchmark" / "videos_cropped" / "aB-1.mp4"


def test_shapes_needs_no_files_and_takes_its_kinds_in_turn():
    records = read_benchmark("shapes", limit=16).records
    assert [r.task for r in records] == list(KINDS) * 2
    assert [r.subset for r in records] == ["level 1"] * 8 + ["level 2"] * 8
    assert shapes.DEFAULT_COUNT == 1200
    record = records[1]
    made = sample("test", 1)
    assert (record.video, record.gold, record.problem) == (made.name, made.answer, made.problem)
    assert record.kind == (CHOICE if made.options else NUMBER)
    frames, fps = shapes.clip_of(record)
    np.testing.assert_array_equal(frames, made.frames)
    assert fps == 2.0
    with pytest.raises(UserError, match="the name of a sample"):
        shapes.clip_of(read_record_named("test-one"))


def test_shapes_has_a_validation_split():
    (record,) = read_benchmark("shapes", limit=1, split="validation").records
    assert (record.id, record.gold) == (
        sample("validation", 0).name,
        sample("validation", 0).answer,
    )


def read_record_named(name):
    import dataclasses

    return dataclasses.replace(read_benchmark("shapes", limit=1).records[0], video=name)


@needs_published
@pytest.mark.parametrize("name", ["vsibench", "videommmu", "mmvu", "mvbench", "videomme"])
def test_real_rows_of_video_r1_are_all_read(name):
    data = read_benchmark(name, PUBLISHED / "video_r1")
    rows = json.loads((PUBLISHED / "video_r1" / f"{name}.json").read_text())
    assert (data.schema, data.refused) == ("video_r1", ())
    assert [r.id for r in data.records] == [str(row["problem_id"]) for row in rows]
    for record, row in zip(data.records, rows, strict=True):
        assert f"<answer>{record.gold}</answer>" == row["solution"]
        assert record.kind == row["problem_type"]
        assert list(record.options) == (row["options"] or [])


@needs_published
def test_real_official_rows_are_all_read():
    assert read_benchmark("mmvu", PUBLISHED / "official").refused == ()
    data = read_benchmark("videommmu", PUBLISHED / "official")
    assert (len(data.records), data.refused) == (30, ())
    assert {r.task for r in data.records} == set(videommmu.TRACKS)
    assert all(r.subset for r in data.records)
