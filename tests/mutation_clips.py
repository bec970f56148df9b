"""Video files as targets of damage: each gives frames, or is refused in one line."""

import dataclasses
from pathlib import Path

import numpy as np
from mutation_runs import Target
from mutators import damage_media
from numbered_clips import Case, make
from patches_of_14 import sized

from vreason_jax.config import VideoConfig
from vreason_jax.video.reader import read_video

CASES = [
    Case("libx264", "reordered", "mp4"),
    Case("libx264", "open", "ts"),
    Case("libx265", "open", "mkv"),
    Case("libvpx", "hidden", "webm"),
    Case("libvpx-vp9", "closed", "webm"),
    Case("libsvtav1", "reordered", "mp4"),
    Case("mpeg2video", "open", "mpg"),
    Case("mpeg4", "pairs", "avi", cut="packed"),
    Case("mjpeg", "closed", "mov"),
    Case("wmv2", "closed", "wmv"),
    Case("prores_ks", "closed", "mov"),
    Case("gif", "closed", "gif"),
    Case("libwebp_anim", "closed", "webp"),
    Case("apng", "closed", "apng"),
]
COUNT = 24  # frames
LIMITS = sized(784, 2**15)
CONFIG = VideoConfig(timeout_seconds=20.0)  # less than the harness allows


def use(folder: Path) -> None:
    """Reads the clip of a folder as a question's video."""
    (path,) = folder.iterdir()
    clip = read_video(path, CONFIG, LIMITS)
    assert clip.frames.ndim == 4 and len(clip.frames) == len(clip.frame_indices) > 0
    assert np.all(np.diff(clip.frame_indices) > 0) and clip.frame_indices[0] >= 0
    assert np.all(np.diff(clip.times) >= 0)
    assert np.isfinite([clip.fps, *clip.times]).all() and clip.fps > 0
    for notice in clip.notices:
        assert notice.isprintable() and len(notice) < 500, f"not one short line: {notice[:300]}"


def _target(case: Case) -> Target:
    def prepare(folder: Path) -> None:
        make(dataclasses.replace(case, count=COUNT), folder)

    return Target(case.name, prepare, lambda f: list(f.iterdir()), use, damage=damage_media)


TARGETS = [_target(case) for case in CASES if not case.lacking()]
