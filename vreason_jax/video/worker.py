"""The process that decodes: a request on stdin, the resized frames on stdout; it imports no JAX.

Request: one JSON object (`reader.read_video`). Reply: the length of a JSON header (eight bytes,
little endian), the header, then the frames, uint8 [F,h,w,3] in C order unless it has an `error`.
"""

import json
import os
import signal
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.decoders import (
    DECODERS,
    DecodeError,
    Decoder,
    NotInstalledError,
    one_line,
)
from vreason_jax.video.resize import PixelLimits, resize_frames, smart_resize, to_rgb
from vreason_jax.video.sampling import (
    ASSUMED_FPS,
    WHOLE,
    Segment,
    is_usable_rate,
    sample_frames,
)
from vreason_jax.video.truncation import missing_bytes

FRAME_SUFFIXES = (".png", ".jpg", ".jpeg")
LENGTH = struct.Struct("<Q")


def main() -> None:
    """Answers one request and ends at once, before native readers can hang in their clean-up."""
    payload = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a native library prints goes to stderr
    request = json.load(sys.stdin)
    if hasattr(signal, "setitimer"):
        # The parent enforces the deadline; this one ends a worker whose parent was killed.
        signal.setitimer(signal.ITIMER_REAL, request["timeout_seconds"] + 10)
    config, limits = VideoConfig(**request["config"]), PixelLimits(**request["limits"])
    path, segment = request["path"], Segment(*request["segment"])
    try:
        if request["folder_fps"] is not None:
            header, frames = read_folder(path, request["folder_fps"], config, limits, segment)
        else:
            header, frames = read_file(path, request["readers"], config, limits, segment)
    except UserError as error:
        header, frames = {"error": str(error)}, None
    _reply(payload, header, frames)
    os._exit(0)


def read_file(
    path: str,
    readers: list[str],
    config: VideoConfig,
    limits: PixelLimits,
    segment: Segment = WHOLE,
) -> tuple[dict[str, Any], np.ndarray]:
    """Returns the header and frames of a video file by the first of `readers` that can read it."""
    missing = missing_bytes(path)
    if missing:
        raise UserError(
            f"expected a whole video file, it is cut off: at least {missing} bytes short"
        )
    failures = []
    for name in readers:
        try:
            decoder = DECODERS[name](path)
            header, frames = _read(decoder, config, limits, segment)
        except DecodeError as error:
            failures.append(error)
            continue
        header["reader"] = name
        header["notices"] += [
            f"read by {name}, since another reader failed: {error}"
            for error in failures
            if not isinstance(error, NotInstalledError)
        ]
        return header, frames
    raise UserError(f"expected a readable video file, got: {'; '.join(map(str, failures))}")


def read_folder(
    path: str, fps: float, config: VideoConfig, limits: PixelLimits, segment: Segment = WHOLE
) -> tuple[dict[str, Any], np.ndarray]:
    """Returns the header and frames of a folder of images, sorted by name, at `fps` a second."""
    decoder = _FolderDecoder(path, fps)
    try:
        header, frames = _read(decoder, config, limits, segment)
    except DecodeError as error:
        raise UserError(str(error)) from None
    header["reader"] = "folder"
    return header, frames


class _FolderDecoder:
    def __init__(self, path: str, fps: float):
        self._files = sorted(
            file
            for file in Path(path).iterdir()
            if file.suffix.lower() in FRAME_SUFFIXES and not file.name.startswith(".")
        )
        if not self._files:
            raise UserError("expected frames named *.png or *.jpg in the folder, found none")
        self.total = len(self._files)
        self.fps: float | None = fps
        self._check_sizes()

    def frames(self, indices: Iterable[int]) -> Iterator[np.ndarray]:
        for index in indices:
            yield np.asarray(self._load(self._files[index], to_rgb))

    def _check_sizes(self) -> None:
        first, *others = self._files
        size = self._load(first, lambda image: image.size)
        for file in others:
            other = self._load(file, lambda image: image.size)
            if other != size:
                raise UserError(
                    f"expected frames of one size, {first.name} has {size[0]}x{size[1]} and "
                    f"{file.name} {other[0]}x{other[1]} pixels"
                )

    def _load(self, file: Path, use) -> Any:
        try:
            with Image.open(file) as image:
                return use(image)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UserError(f"cannot read frame {file.name}: {one_line(error)}") from None


def _read(
    decoder: Decoder, config: VideoConfig, limits: PixelLimits, segment: Segment
) -> tuple[dict[str, Any], np.ndarray]:
    if decoder.total < 1:
        raise DecodeError("the video holds no frames")
    sample = sample_frames(decoder.total, decoder.fps, config, segment)
    frames = None
    for number, frame in enumerate(decoder.frames(sample.indices)):
        if frames is None:
            height, width = smart_resize(frame.shape[0], frame.shape[1], limits)
            frames = np.empty((len(sample.indices), height, width, 3), np.uint8)
        frames[number] = resize_frames(frame[None], frames.shape[1], frames.shape[2])[0]
    assert frames is not None  # at least one index was asked for
    notices = []
    if not is_usable_rate(decoder.fps):
        notices.append(f"the file names no frame rate; {ASSUMED_FPS:g} frames a second assumed")
    header = {"frame_indices": sample.indices.tolist(), "fps": sample.fps, "notices": notices}
    return header, frames


def _reply(payload: BinaryIO, header: dict[str, Any], frames: np.ndarray | None) -> None:
    if frames is not None:
        header["shape"] = frames.shape
    text = json.dumps(header).encode()
    payload.write(LENGTH.pack(len(text)) + text)
    if frames is not None:
        payload.write(frames.data)
    payload.flush()


if __name__ == "__main__":
    main()
