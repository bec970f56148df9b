"""The process that decodes: requests on stdin, the resized frames on stdout; it imports no JAX.

Request: one JSON object in a line (`process.decode`). Reply: the length of a JSON header (eight
bytes, little endian), the header, then the frames, uint8 [F,h,w,3] in C order unless it has an
`error`.
"""

import ctypes
import gc
import json
import os
import signal
import struct
import sys
from typing import Any, BinaryIO

import numpy as np

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.decoders import DecodeError, Decoder, NotInstalledError
from vreason_jax.video.decord_decoder import DecordDecoder
from vreason_jax.video.images import AnimationDecoder, FolderDecoder, is_animated_webp
from vreason_jax.video.pyav_decoder import PacketsMislead, PyavDecoder
from vreason_jax.video.resize import Sizing, check_room, resize_frames
from vreason_jax.video.sampling import Segment, sample_frames
from vreason_jax.video.spool import copy_stream
from vreason_jax.video.truncation import missing_bytes

LENGTH = struct.Struct("<Q")
MOST_MEMORY = 6 * 2**30  # bytes of address space; 8K video with sixteen references takes three
SNIFFED = 1024  # bytes of a file that show whether it is a playlist
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux' prctl


def main() -> None:
    """Answers requests and ends at once, before native readers can hang in their clean-up."""
    payload = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a native library prints goes to stderr
    _limit_memory()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        _die_in_time(request)
        _reply(payload, *_outcome(request))
        # PyAV's containers and streams refer to each other. Python's collector counts objects, not
        # the megabytes of a decoder that they hold, and would come a gigabyte too late.
        gc.collect()
    os._exit(0)


def _outcome(request: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
    try:
        return answer(request)
    except DecodeError as error:
        kind = "absent" if isinstance(error, NotInstalledError) else "unreadable"
        return {"error": str(error), "kind": kind}, None
    except MemoryError:
        reason = f"it takes more than {MOST_MEMORY // 2**30} GiB of memory to decode"
        return {"error": reason, "kind": "unreadable"}, None
    except UserError as error:
        return {"error": str(error), "kind": "final"}, None


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray | None]:
    """Returns the header and the frames of a request; raises DecodeError and UserError."""
    if request["reader"] == "spool":
        return {"bytes": copy_stream(request["path"], request["target"])}, None
    config, sizing = VideoConfig(**request["config"]), Sizing.of(request["sizing"])
    segment, path = Segment(*request["segment"]), request["path"]
    if request["reader"] == "folder":
        return read_frames(FolderDecoder(path, request["folder_fps"]), config, sizing, segment)
    _check_one_file(path)
    missing = missing_bytes(path)
    if missing:
        raise UserError(
            f"expected a whole video file, it is cut off: at least {missing} bytes short"
        )
    return read_file(path, request["reader"], config, sizing, segment)


def _check_one_file(path: str) -> None:
    """Raises UserError for a playlist: it would lead to files elsewhere, whatever its name."""
    with open(path, "rb") as file:
        start = file.read(SNIFFED)
    if start.startswith((b"#EXTM3U", b"ffconcat")) or b"<MPD" in start:
        raise UserError(
            "expected a video file, got a playlist of other files; join its parts into one file"
        )


def read_file(
    path: str, reader: str, config: VideoConfig, sizing: Sizing, segment: Segment
) -> tuple[dict[str, Any], np.ndarray]:
    """Returns the header and the frames of a video file by a reader; raises DecodeError."""
    if reader == "decord":
        return read_frames(DecordDecoder(path), config, sizing, segment)
    if is_animated_webp(path):
        return read_frames(AnimationDecoder(path), config, sizing, segment)
    try:
        return read_frames(PyavDecoder(path), config, sizing, segment)
    except PacketsMislead:
        return read_frames(PyavDecoder(path, straight=True), config, sizing, segment)


def read_frames(
    decoder: Decoder, config: VideoConfig, sizing: Sizing, segment: Segment
) -> tuple[dict[str, Any], np.ndarray]:
    """Returns the frames that `config` chooses, resized from their size as shown."""
    timeline = decoder.timeline
    sample = sample_frames(timeline, config, sizing.geometry.temporal_patch, segment)
    frames = None
    for number, frame in enumerate(decoder.frames(sample.indices)):
        if frames is None:
            height, width = sizing.sides(frame.height, frame.width, len(sample.indices))
            check_room(len(sample.indices), height, width)
            frames = np.empty((len(sample.indices), height, width, 3), np.uint8)
        frames[number] = resize_frames(frame.pixels[None], frames.shape[1], frames.shape[2])[0]
    assert frames is not None  # at least one index was asked for
    header = {
        "frame_indices": sample.indices.tolist(),
        "times": timeline.times[sample.indices].tolist(),
        "fps": sample.fps,
        "notices": [*decoder.notices, *timeline.notices()],
    }
    return header, frames


def _die_in_time(request: dict[str, Any]) -> None:
    if hasattr(signal, "setitimer"):
        # The parent enforces the deadline; this one ends a worker whose parent was killed.
        signal.setitimer(signal.ITIMER_REAL, request["seconds"] + 10)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != request["parent"]:
            os._exit(1)  # it died before the call


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or hard > MOST_MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, hard))


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
