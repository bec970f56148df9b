"""The small pictures of a run's clips: what was written is read, in the bytes that there are."""

import io

import numpy as np
import pytest
from PIL import Image

from vreason_jax.evaluation.results.frames import FOLDER, frames_path, read_frames, write_frames


@pytest.fixture
def folder(tmp_path):
    (tmp_path / FOLDER).mkdir()
    return tmp_path


def grey(count, height=112, width=168):
    """Frames whose brightness is their number, ten times."""
    shades = np.arange(count, dtype=np.uint8)[:, None, None, None] * 10
    return np.tile(shades, (1, height, width, 3))


def read(folder, limit=10**6, clip="a/b.mp4"):
    data, facts = read_frames(folder, clip, limit)
    with Image.open(io.BytesIO(data)) as picture:
        parts = np.split(np.asarray(picture.convert("L")), len(facts["times"]), axis=1)
    return parts, facts, len(data)


def test_frames_stand_side_by_side_in_order_with_their_times(folder):
    write_frames(frames_path(folder, "a/b.mp4"), grey(6), np.arange(6) / 4)
    parts, facts, _ = read(folder)
    assert facts == {"times": [0, 0.25, 0.5, 0.75, 1, 1.25], "of": 6}
    assert [part.shape for part in parts] == [(84, 126)] * 6
    assert [round(float(part.mean()) / 10) for part in parts] == list(range(6))


def test_of_many_frames_sixteen_are_kept_both_ends_among_them(folder):
    write_frames(frames_path(folder, "a/b.mp4"), grey(25), np.arange(25.0))
    parts, facts, _ = read(folder)
    assert (len(parts), facts["times"][0], facts["times"][-1], facts["of"]) == (16, 0, 24, 25)


def test_small_frames_stay_as_they_are(folder):
    write_frames(frames_path(folder, "a/b.mp4"), grey(2, 28, 56), np.zeros(2))
    assert read(folder)[0][0].shape == (28, 56)


@pytest.mark.parametrize(("share", "shown"), [(0.8, 16), (0.4, 8), (0.2, 8)])
def test_a_limit_is_kept_by_fewer_and_smaller_frames(folder, share, shown):
    noise = np.random.default_rng(0).integers(0, 255, (16, 6, 8, 3), dtype=np.uint8)
    write_frames(frames_path(folder, "a/b.mp4"), noise.repeat(18, 1).repeat(18, 2), np.arange(16.0))
    limit = int(share * read(folder)[2])
    _, facts, size = read(folder, limit)
    assert limit / 2 < size <= limit
    assert facts["times"] == [*range(0, 16, 16 // shown)]


def test_what_is_not_there_or_no_picture_or_too_large_is_none(folder):
    assert read_frames(folder, "other.mp4", 10**6) is None
    path = frames_path(folder, "a/b.mp4")
    write_frames(path, grey(6), np.zeros(6))
    assert read_frames(folder, "a/b.mp4", 100) is None
    for data in (b"", b"no picture", path.read_bytes()[:300]):
        path.write_bytes(data)
        assert read_frames(folder, "a/b.mp4", 200) is None
    Image.new("RGB", (8, 8)).save(path)
    assert read_frames(folder, "a/b.mp4", 10**6) is None
