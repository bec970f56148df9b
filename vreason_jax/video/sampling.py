"""Which frames of a clip are read: the count, the indices and the rate that follow from them."""

import math
from typing import NamedTuple

import numpy as np

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.timeline import Timeline

TARGET_FPS = 2.0
MIN_FRAMES = 4
CLIP = "clip"  # the sizing by whole clips (config.VideoConfig)


class Segment(NamedTuple):
    """The part of a video that frames are taken from, in seconds; none: from or to its own end."""

    start: float | None = None
    end: float | None = None

    def frames(self, timeline: Timeline) -> tuple[int, int]:
        """Returns the first and the last frame that lie in the segment.

        Each is the frame nearest to its time, as in MVBench's own reading (get_index); an end
        behind the last frame is the last frame. Raises UserError for a start behind it.
        """
        first = 0 if self.start is None else timeline.nearest(self.start)
        last = timeline.total - 1 if self.end is None else timeline.nearest(self.end)
        if self.start is not None and self._begins_behind(timeline):
            raise UserError(
                f"expected a segment that starts within the video, it starts at {self.start:g} "
                f"seconds and the video has {timeline.end:g}"
            )
        return first, max(first, last)

    def _begins_behind(self, timeline: Timeline) -> bool:
        # Nearer to the end of the last frame than to its beginning, as rounding an index has it.
        half = (timeline.end - float(timeline.times[-1])) / 2
        return self.start is not None and self.start > timeline.end - half

    def check(self) -> None:
        """Raises UserError unless both are times and in order."""
        start, end = self.start or 0.0, math.inf if self.end is None else self.end
        if not 0 <= start < end or not math.isfinite(start):
            raise UserError(
                "expected a segment with 0 <= start < end in seconds, "
                f"got {self.start} to {self.end}"
            )


WHOLE = Segment()


class Sample(NamedTuple):
    """The chosen frames: `indices` int32 [F], ascending, and `fps`, chosen frames per second."""

    indices: np.ndarray
    fps: float


def sample_frames(
    timeline: Timeline, config: VideoConfig, group: int, segment: Segment = WHOLE
) -> Sample:
    """Returns which frames are read, as qwen-vl-utils 0.0.14 chooses them by count and rate.

    With `config.sizing` "clip", as transformers chooses them for Qwen3-VL.

    The model takes them `group` at a time, usually in pairs. Of a `segment` they are chosen as if
    it were the whole clip; the indices count from the start of the file.

    The chosen rate is F / total * fps, so that a clip keeps its length in seconds. A clip of one
    frame gives that frame (where qwen-vl-utils refuses it), one of two gives both, one of three
    its first and last. Raises UserError for an empty clip and for `max_frames` under 2.
    """
    if timeline.total < 1:
        raise UserError("expected a video with at least one frame, got none")
    first, last = segment.frames(timeline)
    rate = timeline.rate(first, last)
    held = last - first + 1
    indices = choose_indices(held, count_frames(held, rate, config, group), config)
    return Sample(indices + np.int32(first), len(indices) / held * rate)


def count_frames(total: int, fps: float, config: VideoConfig, group: int) -> int:
    """Returns how many of `total` frames are read: a multiple of `group`, or all of a shorter clip.

    With `num_frames`: the nearest multiple, of pairs ties to a multiple of four (7 -> 8, 5 -> 4),
    at least one group, at most `total`. Else two a second, at least 4, at most `max_frames` and
    `total`, rounded down. (smart_nframes of qwen_vl_utils; it refuses where this clamps.) With
    `sizing` "clip" no count is rounded: a last patch that lacks frames repeats its last one.
    """
    if config.sizing == CLIP:
        wanted = max(int(total / fps * TARGET_FPS), MIN_FRAMES)
        return min(config.num_frames or min(wanted, config.max_frames), total)
    if total < group:
        return total
    if config.num_frames is not None:
        wanted = max(round(config.num_frames / group) * group, group)
        return _floored(min(wanted, total), group)
    wanted = max(total / fps * TARGET_FPS, MIN_FRAMES)
    return _floored(min(wanted, max_frames_of(config, group), total), group)


def max_frames_of(config: VideoConfig, group: int) -> int:
    """Returns `max_frames` as whole groups; raises UserError where that leaves none."""
    if config.sizing == CLIP:
        return config.max_frames
    if config.max_frames < group:
        raise UserError(
            f"video.max_frames: expected at least {group} (frames are taken {group} at a time), "
            f"got {config.max_frames}"
        )
    return _floored(config.max_frames, group)


def _floored(count: float, group: int) -> int:
    """The largest multiple of `group` that is not above `count`."""
    return math.floor(count / group) * group


def choose_indices(total: int, count: int, config: VideoConfig) -> np.ndarray:
    """Returns `count` indices int32 [F] spread over `total` frames, both ends among them."""
    if config.sizing == CLIP:
        return np.linspace(0, total - 1, count).round().astype(np.int32)
    return spread_indices(total, count)


def spread_indices(total: int, count: int) -> np.ndarray:
    """Returns `count` indices int32 [F] spread over `total` frames, both ends among them.

    Equal to `torch.linspace(0, total - 1, count).round()` with its float32 arithmetic: each half
    is counted from its own end, with one rounding per element (torch's CPU kernel fuses the
    product and the sum), and half-way cases go to the even index.
    """
    if count == 1:
        return np.zeros(1, np.int32)
    last = np.float32(total - 1)
    # A float64 product of a float32 and a small integer is exact: one rounding, as when fused.
    step = np.float64(last / np.float32(count - 1))
    position = np.arange(count)
    from_start = (step * position).astype(np.float32)
    from_end = (np.float64(last) - step * (count - 1 - position)).astype(np.float32)
    values = np.where(position < count // 2, from_start, from_end)
    return np.clip(np.rint(values), 0, total - 1).astype(np.int32)
