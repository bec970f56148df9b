"""Every frame asked for is the frame that came, at its time; scripts/make_video_matrix.py has more.

The clips carry their frames' numbers in their pixels, so no other reader is believed.
"""

import numpy as np
import pytest
from clip_checks import faults
from numbered_clips import Case, make, number_of, paint

CASES = [
    Case("libx264", "open", "mp4", "jitter"),
    Case("libx264", "reordered", "avi", "skips"),
    Case("libx264", "reordered", "mp4", cut="trimmed"),
    Case("libx264", "open", "ts", cut="midway"),
    Case("libx264", "reordered", "mp4", cut="late"),
    Case("libx265", "open", "mkv"),
    Case("libvpx", "hidden", "webm"),
    Case("libsvtav1", "reordered", "webm", "jitter"),
    Case("mpeg2video", "open", "mpg", cut="joined"),
    Case("mpeg4", "reordered", "avi", cut="midway"),
    Case("mpeg4", "pairs", "avi", cut="packed"),
    Case("wmv2", "closed", "wmv", "skips"),
    Case("libwebp_anim", "closed", "webp", "skips"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_frames_asked_for_come_at_their_times(tmp_path, case):
    if case.lacking():
        pytest.skip(f"PyAV here has no encoder {', '.join(case.lacking())}; one with it runs this")
    found = faults(*make(case, tmp_path))
    assert len(found) == 6
    assert not any(found.values()), found


def test_a_frame_shows_its_number_unless_it_is_mixed():
    for number in (0, 1, 170_000):
        assert number_of(np.stack([paint(number)] * 3, -1)) == number
    assert number_of(np.stack([paint(5) // 2 + paint(10) // 2] * 3, -1)) is None


def test_a_clip_that_says_too_much_is_seen(tmp_path):
    path, shown = make(Case("mpeg4", "closed", "mp4"), tmp_path)
    shown.numbers[-1] += 1
    assert "not [" in faults(path, shown)["last"]
    shown.numbers[-1] -= 1
    shown.times[-1] += 0.03
    assert "0.030 s off" in faults(path, shown)["whole"]
    shown.numbers.pop()
    shown.times.pop()
    assert "48 frames, not 47" in faults(path, shown)["sparse, jumps"]
