"""Reads numbered clips with the product: are the frames and their times those asked for?"""

import contextlib
import dataclasses
from pathlib import Path
from unittest import mock

import numpy as np
from numbered_clips import Shown, number_of
from patches_of_14 import sized

from vreason_jax.config import VideoConfig
from vreason_jax.video import pyav_decoder, worker
from vreason_jax.video.sampling import WHOLE, Segment

LIMITS = sized(784, 2**20)
SPARSE = 8  # frames


def faults(path: Path, shown: Shown) -> dict[str, str]:
    """Returns what is wrong of each way of reading a clip, an empty text where nothing is.

    The ways are: all frames, a few, the last one; each by decoding throughout and by jumps.
    """
    last = Segment(shown.times[-1])
    asked = {
        "whole": (VideoConfig(num_frames=len(shown.numbers)), WHOLE),
        "sparse": (VideoConfig(num_frames=SPARSE), WHOLE),
        "last": (VideoConfig(), last),
    }
    found = {}
    for jumps in (False, True):
        for name, (config, segment) in asked.items():
            with (
                mock.patch.object(pyav_decoder, "STRAIGHT_PIXELS", 0)
                if jumps
                else (contextlib.nullcontext())
            ):
                found[name + (", jumps" if jumps else "")] = _fault(path, shown, config, segment)
    return found


def _fault(path: Path, shown: Shown, config: VideoConfig, segment: Segment) -> str:
    request = {
        "reader": "pyav",
        "path": str(path),
        "config": dataclasses.asdict(config),
        "sizing": dataclasses.asdict(LIMITS),
        "segment": segment,
    }
    try:
        header, frames = worker.answer(request)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    assert frames is not None
    indices, total = header["frame_indices"], len(shown.numbers)
    if indices[-1] != total - 1:
        return f"{indices[-1] + 1} frames, not {total}"
    came = [number_of(frame) for frame in frames]
    wanted = [shown.numbers[index] for index in indices]
    if came != wanted:
        return f"frames {came}, not {wanted}"
    late = np.abs(np.subtract(header["times"], [shown.times[index] for index in indices])).max()
    return f"a time is {late:.3f} s off" if late > shown.frame / 2 else ""
