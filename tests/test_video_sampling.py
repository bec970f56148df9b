"""Frame choice: the counts, indices and rates of qwen-vl-utils, and the cases it leaves open."""

import functools
import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video import sampling
from vreason_jax.video.sampling import Segment, spread_indices
from vreason_jax.video.timeline import ASSUMED_FPS, Timeline

count_frames = functools.partial(sampling.count_frames, group=2)
GOLDEN = json.loads((Path(__file__).parent / "goldens" / "video_sampling.json").read_text())


def sample_frames(timeline, config, segment=sampling.WHOLE):
    return sampling.sample_frames(timeline, config, 2, segment)


def test_counts_and_indices_equal_those_of_qwen_vl_utils():
    assert len(GOLDEN["rows"]) > 400
    for total, fps, num_frames, max_frames, expected in GOLDEN["rows"]:
        config = VideoConfig(num_frames=num_frames, max_frames=max_frames or 16)
        indices = sample_frames(Timeline.even(total, fps), config).indices
        assert indices.dtype == np.int32
        if isinstance(expected, int):
            assert len(indices) == expected, (total, fps, max_frames)
        else:
            assert indices.tolist() == expected, (total, fps, num_frames, max_frames)


def test_ninety_frames_at_thirty_a_second_round_half_to_even():
    sample = sample_frames(Timeline.even(90, 30.0), VideoConfig())
    # 0, 17.8, 35.6, 53.4, 71.2, 89: three seconds at two frames a second, both ends included.
    assert sample.indices.tolist() == [0, 18, 36, 53, 71, 89]
    assert sample.fps == 2.0


def test_indices_equal_torch_linspace_everywhere():
    torch = pytest.importorskip("torch", reason="install the extra `parity` to compare with torch")
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("torch fuses product and sum only with AVX2 or newer: run on such a CPU")
    draw = np.random.default_rng(0)
    totals = [*range(2, 1000), *draw.integers(1000, 400_000, 1000).tolist()]
    for count in (2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 32, 48, 62, 64, 128, 256, 768):
        for total in totals:
            if total >= count:
                expected = torch.linspace(0, total - 1, count).round().numpy()
                np.testing.assert_array_equal(spread_indices(total, count), expected)


TOTALS = st.integers(2, 40) | st.integers(2, 500_000)
RATES = st.fractions(Fraction(1, 10), 240, max_denominator=1001)
CONFIGS = st.builds(
    VideoConfig,
    num_frames=st.none() | st.integers(1, 2000),
    max_frames=st.integers(2, 2000),
)


@given(TOTALS, RATES, CONFIGS)
def test_frames_are_even_in_number_ascending_and_stand_nearest_to_even_steps(total, rate, config):
    """Against the rule of qwen-vl-utils in fractions; it refuses a count that is clamped here."""
    choice = sample_frames(Timeline.even(total, float(rate)), config)
    indices, count = choice.indices.tolist(), len(choice.indices)
    if config.num_frames is not None:
        wanted = max(2, 2 * round(Fraction(config.num_frames, 2)))
    else:
        wanted = min(max(total / float(rate) * 2.0, 4), config.max_frames)
    assert count == 2 * math.floor(min(wanted, total) / 2)
    assert indices[0] == 0 and indices[-1] == total - 1
    assert all(before < after for before, after in itertools.pairwise(indices))
    for number, index in enumerate(indices):
        exact = Fraction(number * (total - 1), count - 1)
        assert abs(index - exact) <= 0.5 + total * 2**-23  # float32, as torch.linspace computes
    assert count / choice.fps == pytest.approx(total / rate)  # the clip keeps its length


@given(st.lists(st.floats(0.01, 3), min_size=2, max_size=60), CONFIGS, st.data())
def test_a_segment_holds_its_frames_and_keeps_its_length(gaps, config, data):
    times = np.cumsum([0.0, *gaps])
    line = Timeline(times[:-1], float(times[-1]))
    start, end = sorted(data.draw(st.tuples(*[st.floats(0, float(times[-2]))] * 2)))
    first, last = (int(np.argmin(np.abs(line.times - edge))) for edge in (start, end))
    if start == end or line.nearest(start) != first or line.nearest(end) != last:
        return  # halfway between two frames
    choice = sample_frames(line, config, Segment(start, end))
    whole = sample_frames(Timeline.even(last - first + 1, line.rate(first, last)), config)
    assert (choice.indices - first).tolist() == whole.indices.tolist()
    assert {first, last} == {choice.indices[0], choice.indices[-1]} or last == first
    assert len(choice.indices) / choice.fps == pytest.approx(times[last + 1] - times[first])


def test_clips_of_one_two_and_three_frames():
    choices = {n: sample_frames(Timeline.even(n, 10.0), VideoConfig()) for n in (1, 2, 3)}
    assert {n: choice.indices.tolist() for n, choice in choices.items()} == {
        1: [0],
        2: [0, 1],
        3: [0, 2],
    }
    assert [choices[n].fps for n in (1, 2, 3)] == [10.0, 10.0, pytest.approx(20 / 3)]


def test_num_frames_goes_to_the_nearest_even_number_within_the_clip():
    def counts(total):
        return [count_frames(total, 30.0, VideoConfig(num_frames=n)) for n in (1, 3, 5, 7, 8, 40)]

    assert counts(100) == [2, 4, 4, 8, 8, 40]
    assert counts(5) == [2, 4, 4, 4, 4, 4]


def test_max_frames_caps_the_two_a_second_and_goes_down_to_even():
    assert count_frames(3000, 30.0, VideoConfig()) == 16
    assert count_frames(3000, 30.0, VideoConfig(max_frames=9)) == 8
    assert count_frames(3000, 30.0, VideoConfig(max_frames=2)) == 2
    assert count_frames(3000, 30.0, VideoConfig(max_frames=768)) == 200


def test_max_frames_of_one_is_an_error():
    with pytest.raises(UserError, match=r"video\.max_frames: expected at least 2"):
        sample_frames(Timeline.even(100, 30.0), VideoConfig(max_frames=1))


@pytest.mark.parametrize("fps", [None, 0.0, -5.0, math.nan, math.inf])
def test_an_unusable_rate_counts_as_the_assumed_one(fps):
    lines = (Timeline.even(240, rate) for rate in (fps, ASSUMED_FPS))
    sample, assumed = (sample_frames(line, VideoConfig()) for line in lines)
    assert sample.indices.tolist() == assumed.indices.tolist()
    assert sample.fps == assumed.fps == 16 / 240 * ASSUMED_FPS


def test_no_frames_is_an_error():
    with pytest.raises(UserError, match="at least one frame"):
        sample_frames(Timeline.even(0, 30.0), VideoConfig())


def test_a_segment_is_sampled_as_if_it_were_the_clip():
    whole = sample_frames(Timeline.even(41, 10.0), VideoConfig())
    part = sample_frames(Timeline.even(200, 10.0), VideoConfig(), Segment(6.0, 10.0))
    assert part.indices.tolist() == (whole.indices + 60).tolist()  # frames 60 to 100
    assert part.indices.dtype == np.int32
    assert part.fps == whole.fps


@pytest.mark.parametrize(
    ("segment", "ends"),
    [
        (Segment(None, 2.0), (0, 20)),
        (Segment(3.04, None), (30, 49)),
        (Segment(1.26, 1.58), (13, 16)),
        (Segment(4.0, 99.0), (40, 49)),
        (Segment(4.9, 5.5), (49, 49)),
        (Segment(0.0, 0.01), (0, 0)),
        (Segment(), (0, 49)),
    ],
)
def test_a_segment_ends_at_the_nearest_frames_within_the_clip(segment, ends):
    indices = sample_frames(Timeline.even(50, 10.0), VideoConfig(), segment).indices
    assert (indices[0], indices[-1]) == ends


def test_a_segment_behind_the_clip_is_an_error():
    with pytest.raises(UserError, match="it starts at 5 seconds and the video has 5"):
        sample_frames(Timeline.even(50, 10.0), VideoConfig(), Segment(5.0, 6.0))
    for start, end in ((2.0, 2.0), (3.0, 1.0), (-1.0, 2.0), (math.nan, 2.0), (math.inf, None)):
        with pytest.raises(UserError, match="0 <= start < end"):
            Segment(start, end).check()
