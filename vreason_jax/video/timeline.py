"""When the frames of a video are shown: its time stamps, and the rate that follows from them."""

import dataclasses
import itertools
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
        stamps: Sequence[float | None],
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
        gap = _usual_gap(stamps, stated)
        times: list[float] = []
        shift = 0.0
        for before, stamp in itertools.pairwise([None, *stamps]):
            expected = times[-1] + gap if times else 0.0
            time = expected if stamp is None or stamp == before else stamp + shift
            too_late = clock_breaks and time - expected > LONGEST_PAUSE
            if times and (time < times[-1] - JITTER or too_late):
                shift += expected - time
                time = expected
            times.append(time)
        times.sort()
        end = times[-1] + (last_duration if last_duration > 0 else gap) if times else 0.0
        return cls(np.asarray(times, np.float64), end, stated)

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


def _usual_gap(stamps: Sequence[float | None], stated: float | None) -> float:
    known = [(number, stamp) for number, stamp in enumerate(stamps) if stamp is not None]
    gaps = [
        (late - early) / (after - before)
        for (before, early), (after, late) in itertools.pairwise(known)
        if late > early
    ]
    if gaps:
        return float(np.median(gaps))
    return 1 / (stated if is_usable_rate(stated) else ASSUMED_FPS)
