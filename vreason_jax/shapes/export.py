"""Writes samples as mp4 files plus annotation rows in the Video-R1 format."""

import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.output.files import make_folder
from vreason_jax.shapes.sample import Sample

ROWS_FILE = "eval_shapes.json"

# Near lossless: flat areas come back within a few levels; half-resolution colour blurs edges.
# Without B-frames every reader agrees on the number and the order of the frames.
X264_OPTIONS = {"crf": "10", "preset": "slow", "bf": "0"}


def export(
    samples: Iterable[Sample], folder: str | Path, progress: Callable[[Sample], None] | None = None
) -> Path:
    """Writes `videos/NAME.mp4` for every sample and the rows; returns the file of the rows.

    `progress` is called after every sample. Raises UserError where the folder cannot be written.
    """
    folder = make_folder(folder, "--out")
    make_folder(folder / "videos", "--out")
    rows = []
    for sample in samples:
        path = f"./videos/{sample.name}.mp4"
        write_mp4(folder / path, sample.frames, sample.fps)
        rows.append(sample.row(path))
        if progress:
            progress(sample)
    write_text(folder / ROWS_FILE, json.dumps(rows, indent=2) + "\n")
    return folder / ROWS_FILE


def write_mp4(path: str | Path, frames: np.ndarray, fps: float) -> None:
    """Writes frames, uint8 [F, h, w, 3] with even sides, as H.264 in mp4.

    Raises UserError where the file cannot be written.
    """
    try:
        with av.open(str(path), "w") as container:
            _encode(container, frames, fps)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def read_mp4(path: str | Path) -> np.ndarray:
    """Returns all frames of a video file: uint8 [F, h, w, 3]."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def write_text(path: Path, text: str) -> None:
    """Writes a text file; raises UserError where the system refuses."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def _encode(container, frames: Sequence[np.ndarray] | np.ndarray, fps: float) -> None:
    stream = container.add_stream("libx264", rate=Fraction(fps), options=X264_OPTIONS)
    stream.height, stream.width = frames[0].shape[:2]
    stream.pix_fmt = "yuv420p"
    for frame in frames:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
    container.mux(stream.encode())
