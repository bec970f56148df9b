"""Finding videos in copies that differ, and telling which cannot be shown."""

import dataclasses
import functools
import os

import benchmark_files as files
import pytest
from video_files import encode

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.readers import read_benchmark
from vreason_jax.evaluation.running.check import MISSING, UNDECODABLE, check_videos, locate
from vreason_jax.evaluation.running.videos import clip_source, read_clip
from vreason_jax.video import process


def record(video, name="1", benchmark="mmvu", **fields):
    return Record(name, benchmark, video, "What?", (), "B", CHOICE, "t", **fields)


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("videos/Law/1.mp4", "videos/Law/1.mp4"),
        ("Evaluation/MMVU/videos/Law/1.mp4", "videos/Law/1.mp4"),
        ("Law/1.mp4", "some/where/Law/1.mp4"),
        ("videos/Law/1.mp4", "videos/law/1.MP4"),
        ("videos/Law/1.mp4", "videos/Law/1.webm"),
        ("videos/aB.mp4", "data/aB.mkv"),
        ("1.mp4", "Art/1.mp4"),
        ("ssv2_video/7.mp4", "video/ssv2_video/7.webm"),
        ("tvqa/frames_fps3_hq/s01.e01", "video/tvqa/frames_fps3_hq/s01.e01/00001.jpg"),
    ],
)
def test_a_video_is_found_in_another_copys_folders(tmp_path, asked, there):
    put(tmp_path, there, "other/2.mp4", "notes.txt")
    expected = tmp_path / there
    expected = expected.parent if there.endswith(".jpg") else expected
    assert locate(record(asked), tmp_path) == expected


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("videos/Law/1.mp4", "videos/Art/1.mp4"),
        ("perception/videos/video_1.mp4", "clevrer/video_validation/video_1.mp4"),
        ("1.mp4", "1.txt"),
        ("1.mp4", "11.mp4"),
    ],
)
def test_another_video_of_the_same_name_does_not_stand_in(tmp_path, asked, there):
    put(tmp_path, there)
    with pytest.raises(UserError, match="found none of this name"):
        locate(record(asked), tmp_path)


def test_the_nearest_of_several_is_taken_and_a_tie_is_an_error(tmp_path):
    put(tmp_path, "a/Law/1.webm", "b/Law/1.mp4", "c/law/1.MKV", "d/aB.mp4", "d/Ab.mp4")
    assert locate(record("videos/Law/1.mp4"), tmp_path) == tmp_path / "b/Law/1.mp4"
    assert locate(record("data/aB.mp4"), tmp_path) == tmp_path / "d/aB.mp4"
    put(tmp_path / "more", "e/3.mp4", "f/3.mp4")
    with pytest.raises(UserError, match=r"found 2: e/3\.mp4, f/3\.mp4"):
        locate(record("3.mp4"), tmp_path / "more")


def test_a_link_into_the_folder_itself_ends(tmp_path):
    put(tmp_path, "Law/1.mp4")
    (tmp_path / "Law" / "again").symlink_to(tmp_path)
    assert locate(record("x/Law/1.mp4"), tmp_path) == tmp_path / "Law/1.mp4"


def test_each_bad_video_is_one_problem_with_its_questions(tmp_path):
    encode(tmp_path / "good.mp4", count=10, rate=10)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("not a video\n" * 40)
    os.mkfifo(tmp_path / "endless.mp4")
    names = ("gone", "good", "empty", "cut", "text", "endless")
    records = [record(f"{name}.mp4", f"{name}/{n}") for n in (1, 2) for name in names]
    steps = []
    problems = check_videos(
        records,
        tmp_path,
        VideoConfig(timeout_seconds=8.0),
        workers=2,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert [(p.video, p.status) for p in problems] == [
        ("gone.mp4", MISSING),
        *((f"{name}.mp4", UNDECODABLE) for name in ("empty", "cut", "text", "endless")),
    ]
    assert problems[0].ids == ("gone/1", "gone/2")
    reasons = ("found none", "0 bytes", "cut off", "readable video", "not decoded within 8 seconds")
    for problem, reason in zip(problems, reasons, strict=True):
        assert reason in problem.reason and "\n" not in str(problem)
    assert steps[0] == (0, 6) and steps[-1] == (6, 6) and steps == sorted(steps)


def test_a_worker_that_stays_reads_on_after_files_that_end_it(tmp_path, monkeypatch):
    encode(tmp_path / "0.mp4", count=10, rate=10)
    for number in range(1, 6):
        os.link(tmp_path / "0.mp4", tmp_path / f"{number}.mp4")
    os.mkfifo(tmp_path / "hung.mp4")
    (tmp_path / "text.mp4").write_text("not a video\n" * 40)
    started, start = [], process._start
    monkeypatch.setattr(process, "_start", lambda *given: started.append(given) or start(*given))
    names = ["0", "text", "1", "2", "hung", "3", "4", "5"]
    records = [record(f"{name}.mp4", name) for name in names]
    problems = check_videos(records, tmp_path, VideoConfig(timeout_seconds=8.0), workers=1)
    assert [p.ids for p in problems] == [("text",), ("hung",)]
    assert len(started) < len(names)


def test_a_broken_link_is_missing_here_and_in_a_run(tmp_path):
    (tmp_path / "0.mp4").symlink_to(tmp_path / "gone.mp4")
    broken = record("0.mp4")
    (problem,) = check_videos([broken], tmp_path)
    source = functools.partial(clip_source, broken, lambda asked: locate(asked, tmp_path))
    read = read_clip(source, lambda source: pytest.fail("read"), lambda media: ())
    assert problem.status == read.status == MISSING


def test_each_part_of_a_video_is_checked(tmp_path):
    encode(tmp_path / "good.mp4", count=10, rate=10)
    within = record("good.mp4", "in", start=0.2, end=0.6)
    behind = record("good.mp4", "out", start=4.0, end=6.0)
    (problem,) = check_videos([within, behind], tmp_path)
    assert (problem.ids, problem.status) == (("out",), UNDECODABLE)
    assert "starts at 4 seconds and the video has 1" in problem.reason


def test_shapes_has_nothing_to_check(tmp_path):
    records = read_benchmark("shapes", limit=2).records
    assert check_videos(records, tmp_path) == []
    lost = dataclasses.replace(records[0], benchmark="mmvu")
    assert len(check_videos([lost], files.put_clips(tmp_path, "1.mp4"))) == 1
