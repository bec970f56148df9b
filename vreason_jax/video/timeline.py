"""When the frames of a video are shown: its time stamps, and the rate that follows from them."""

import dataclasses
import math
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

ASSUMED_FPS = 24.0  # where a file names no usable rate; the value transformers assumes
LONGEST_PAUSE = 10.0  # seconds; more, where the clock may break, is a break of it
JITTER = 0.5  # seconds; stamps that go back by less are swapped, not a new clock
NOTED = 0.01  # relative error of a stated rate that is worth a word


def is_usable_rate(fps: float | None) -> TypeGuard[float]:
    """Returns whether `fps` can be a frame rate: a finite number above zero."""
    return fps is not None and math.isfinite(fps) and fps > 0


@dataclasses.dataclass(frozen=True)
class Timeline:
    """The frames that can be shown: when each begins and when the last ends, in seconds.

    `stated` is the rate that the file names, in frames a second, or none.
    """

    times: np.ndarray  # float64 [N], not descending
    end: float
    stated: float | None = None

    @classmethod
    def even(cls, total: int, fps: float | None) -> "Timeline":
        """Returns `total` frames at a steady rate; one that cannot be a rate is `ASSUMED_FPS`."""
        rate = fps if is_usable_rate(fps) else ASSUMED_FPS
        return cls(np.arange(total) / rate, total / rate, fps)

    @classmethod
    def of_stamps(
        cls,
        stamps: Sequence[float | None] | np.ndarray,
        last_duration: float,
        stated: float | None,
        clock_breaks: bool = False,
    ) -> "Timeline":
        """Returns the timeline of time stamps in seconds, in the order in which frames are shown.

        A missing stamp is one interval after the one before, and so is one that comes twice. So is
        one that goes back by more than half a second, or with `clock_breaks` (MPEG streams) leaves
        a pause of more than ten seconds: there the clock was set anew, and what follows is counted
        from the new one. Frames that are shown in another order than their stamps say (packed
        B-frames) change them.
        """
        times = np.asarray(stamps, np.float64)  # none is nan
        gap = _usual_gap(times, stated)
        if not _is_ascending(times, gap + LONGEST_PAUSE if clock_breaks else math.inf):
            times = np.sort(_going_on(times, gap, clock_breaks))
        end = float(times[-1]) + (last_duration if last_duration > 0 else gap) if len(times) else 0
        return cls(times, end, stated)

    @property
    def total(self) -> int:
        """How many frames there are."""
        return len(self.times)

    def rate(self, first: int = 0, last: int | None = None) -> float:
        """Returns the frames per second of the frames `first` to `last`, both of them included.

        It is the stated rate where that agrees with the time stamps to one frame (or a thousandth),
        so that nothing is lost to their rounding; else what the time stamps say.
        """
        last = self.total - 1 if last is None else last
        end = self.end if last + 1 >= self.total else float(self.times[last + 1])
        held, span = last - first + 1, end - float(self.times[first])
        if is_usable_rate(self.stated):
            apart = abs(held / self.stated - span)
            if span <= 0 or apart <= 1 / self.stated + 1e-3 * span:
                return self.stated
        return held / span if span > 0 else ASSUMED_FPS

    def nearest(self, seconds: float) -> int:
        """Returns the frame that begins nearest to a time; of two, the even one."""
        after = int(np.searchsorted(self.times, seconds))
        if after == 0 or after == self.total:
            return min(after, self.total - 1)
        early, late = seconds - self.times[after - 1], self.times[after] - seconds
        if abs(early - late) <= 1e-6 * (early + late):
            return after - after % 2
        return after if late < early else after - 1

    def notices(self) -> list[str]:
        """Returns what the user should know of the rate: that none is named, or a wrong one."""
        stated, rate = self.stated, self.rate()
        if not is_usable_rate(stated):
            source = "from the time stamps" if self.end > float(self.times[0]) else "assumed"
            return [f"the file names no frame rate; {rate:g} frames a second {source}"]
        if abs(stated - rate) > NOTED * rate:
            return [
                f"the file says {stated:g} frames a second, its time stamps say {rate:.4g}; "
                "the time stamps are believed"
            ]
        return []


def _is_ascending(times: np.ndarray, longest_gap: float) -> bool:
    """Returns whether no time is missing, twice or out of place."""
    gaps = np.diff(times)
    return bool(np.all(np.isfinite(times)) and np.all(gaps > 0) and np.all(gaps <= longest_gap))


def _going_on(stamps: np.ndarray, gap: float, clock_breaks: bool) -> list[float]:
    times: list[float] = []
    shift, before = 0.0, math.nan
    for stamp in stamps.tolist():
        expected = times[-1] + gap if times else 0.0
        time = expected if math.isnan(stamp) or stamp == before else stamp + shift
        too_late = clock_breaks and time - expected > LONGEST_PAUSE
        if times and (time < times[-1] - JITTER or too_late):
            shift += expected - time
            time = expected
        times.append(time)
        before = stamp
    return times


def _usual_gap(times: np.ndarray, stated: float | None) -> float:
    places = np.flatnonzero(np.isfinite(times))
    gaps = np.diff(times[places]) / np.diff(places)
    if np.any(gaps > 0):
        return float(np.median(gaps[gaps > 0]))
    return 1 / (stated if is_usable_rate(stated) else ASSUMED_FPS)
