"""Clips are read ahead, in order; a bad one has a status, and nobody waits for it at the end."""

import functools
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
from vreason_jax.evaluation.running.videos import ClipQueue, ReadClip, clip_source, read_clip
from vreason_jax.prompt.chat import Prompt
from vreason_jax.questions import Media, Prepared, Question, VideoArray, VideoFile
from vreason_jax.shapes import sample

ROOT = Path(__file__).parent.parent


def clip(number):
    return ReadClip(None, str(number), 0.0)


def test_clips_come_in_order_whatever_they_take():
    seconds = [0.03, 0.0, 0.02, 0.0, 0.01]

    def job(number):
        time.sleep(seconds[number])
        return clip(number)

    jobs = [(n, functools.partial(job, n)) for n in range(5)]
    jobs.insert(2, ("known", None))
    read = list(ClipQueue(ahead=4, workers=3).read(jobs))
    assert [owner for owner, _ in read] == [0, 1, "known", 2, 3, 4]
    assert [clip.reason if clip else None for _, clip in read] == ["0", "1", None, "2", "3", "4"]


def test_no_more_are_read_than_were_asked_for_ahead():
    begun, gate = [], threading.Event()

    def job(number):
        begun.append(number)
        gate.wait(10)
        return clip(number)

    # Those that need no reading take no place.
    jobs = [(n, functools.partial(job, n) if n >= 0 else None) for n in range(-9, 20)]
    read = ClipQueue(ahead=3, workers=8).read(jobs)
    gate.set()
    for _ in range(9 + 3):  # a clip is handed out once the next is begun
        next(read)
    time.sleep(0.1)
    assert sorted(begun) == list(range(6))


def test_waiting_is_measured_where_there_is_any():
    done, slow = threading.Event(), 1.0  # a second, so that a busy machine is not taken for waiting
    ready, late = ClipQueue(ahead=2), ClipQueue(ahead=1)
    clips = ready.read([(0, lambda: clip(0)), (1, lambda: done.set() or clip(1))])
    next(clips)
    done.wait()
    next(clips)
    next(late.read([(0, lambda: time.sleep(slow) or clip(0))]))
    assert ready.wait_seconds < slow / 2 < late.wait_seconds


def test_what_a_job_raises_is_raised_where_it_is_taken():
    def job():
        raise UserError("q7: expected a question")

    with pytest.raises(UserError, match="q7: expected"):
        next(ClipQueue(ahead=1).read([(0, job)]))


def test_a_program_ends_while_a_clip_is_still_being_read():
    script = """
import time
from vreason_jax.evaluation.running.videos import ClipQueue
clips = ClipQueue(ahead=2).read([(0, lambda: 0), (1, lambda: time.sleep(60))])
next(clips)
time.sleep(0.2)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=40)
    assert ended.returncode == 0


def read(path, error=None):
    def media(source):
        if error is not None:
            raise error
        return "media"

    return read_clip(lambda: VideoFile(str(path)), media, lambda media: (media,))


def test_a_status_for_every_way_to_fail(tmp_path):
    there = tmp_path / "clip.mp4"
    there.touch()
    assert (read(there).prepared, read(there).status) == (("media",), None)
    missing = read(tmp_path / "gone.mp4", UserError("gone.mp4: expected\na file"))
    assert (missing.status, missing.reason) == ("missing_video", "gone.mp4: expected a file")
    for error in (UserError("cut off"), RuntimeError("a bug"), MemoryError()):
        assert read(there, error).status == "undecodable_video"


def record(**fields):
    values = {"id": "q", "benchmark": "mvbench", "video": "a/b.webm", "problem": "?"}
    values |= {"options": (), "gold": "1", "kind": CHOICE, "task": "t"}
    return Record(**{**values, **fields})


def test_a_clip_is_a_part_of_a_file_below_the_data_folder(tmp_path):
    source = clip_source(record(start=1.0, end=2.0), lambda record: tmp_path / record.video)
    assert isinstance(source, VideoFile)
    assert (source.path, source.start, source.end) == (str(tmp_path / "a/b.webm"), 1.0, 2.0)


def test_shapes_are_drawn_from_their_names():
    drawn = sample("test", 12)
    source = clip_source(record(benchmark="shapes", video=drawn.name), lambda record: Path())
    assert isinstance(source, VideoArray)
    assert (source.frames == drawn.frames).all() and source.fps == drawn.fps


def test_a_question_without_a_video_has_no_clip_and_an_empty_grid():
    text = Record("q1", "text", "", "Which?", ("A. a", "B. b"), "A", CHOICE, "task")
    ids, places = np.zeros(4, np.int32), np.zeros((3, 4), np.int32)
    asked = Prepared(Question((), "Which?"), Media((), ()), Prompt(ids, places, 4, (), ids))
    read = read_clip(
        lambda: clip_source(text, lambda record: Path("nowhere")),
        lambda source: Media((), ()) if source is None else pytest.fail("a clip"),
        lambda media: (asked,),
    )
    assert read.status is None and read.grid == (0, 0, 0)
