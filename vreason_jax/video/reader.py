"""Videos, frame arrays and images as clips; files are decoded in a process that can be killed."""

import contextlib
import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.resize import (
    PixelLimits,
    resize_frames,
    resize_image,
    smart_resize,
    to_rgb,
)
from vreason_jax.video.sampling import (
    TARGET_FPS,
    count_frames,
    is_usable_rate,
    max_frames_of,
    spread_indices,
)
from vreason_jax.video.worker import LENGTH

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
WORKER = [sys.executable, "-P", "-m", "vreason_jax.video.worker"]


@dataclasses.dataclass(frozen=True)
class Clip:
    """Chosen frames of a video, resized.

    `fps` is the rate of the chosen frames (F / total * the video's own rate), `frame_indices` their
    numbers in the video, `reader` one of decord, pyav, folder, array, image. `notices` tells, line
    by line, what the user should know of how the file was read.
    """

    frames: np.ndarray  # uint8 [F, h, w, 3]
    fps: float
    frame_indices: np.ndarray  # int32 [F]
    path: str | None
    reader: str
    notices: tuple[str, ...] = ()


def read_video(
    path: str | os.PathLike[str],
    config: VideoConfig,
    limits: PixelLimits,
    *,
    folder_fps: float = TARGET_FPS,
) -> Clip:
    """Returns the frames that `config` chooses of a video file or of a folder of images.

    A folder counts as a video of `folder_fps` frames a second. Decoding runs in a process of its
    own. Raises UserError for a missing, empty, cut-off or unreadable file, for a folder
    without frames, with unreadable ones or with unequal sizes, and for a reader that crashes or takes
    longer than `config.timeout_seconds`.
    """
    shown = os.fspath(path)
    is_folder = _check_path(shown)
    if is_folder and not is_usable_rate(folder_fps):
        raise UserError(f"--fps: expected a rate above 0 for {shown}, got {folder_fps}")
    max_frames_of(config)
    request = {
        "path": os.path.abspath(shown),  # absolute: "a:b.mp4" must not be read as a protocol
        "folder_fps": folder_fps if is_folder else None,
        "limits": dataclasses.asdict(limits),
        "config": dataclasses.asdict(config),
    }
    try:
        header, frames = _decode(request, config)
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None
    indices = np.asarray(header["frame_indices"], np.int32)
    notices = tuple(f"{shown}: {notice}" for notice in header["notices"])
    return Clip(frames, header["fps"], indices, shown, header["reader"], notices)


def clip_from_array(
    frames: np.ndarray, fps: float, config: VideoConfig, limits: PixelLimits
) -> Clip:
    """Returns a clip of frames uint8 [F,h,w,3] that come at `fps` a second.

    All of them are used, an odd count too, since who passes frames has chosen them; with
    `config.num_frames`, or beyond `config.max_frames`, as many as that are spread over them, both
    ends included. Raises UserError for another shape or dtype, no frames, or a rate not above 0.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise UserError(
            "expected video frames as uint8 [F, h, w, 3] with at least one frame, "
            f"got {frames.dtype} {list(frames.shape)}"
        )
    if not is_usable_rate(fps):
        raise UserError(f"expected a frame rate above 0 beside the frames, got {fps}")
    total = len(frames)
    count = total
    if config.num_frames is not None:
        count = count_frames(total, fps, config)
    elif total > config.max_frames:
        count = max_frames_of(config)
    indices = spread_indices(total, count)
    size = smart_resize(frames.shape[1], frames.shape[2], limits)
    return Clip(resize_frames(frames[indices], *size), count / total * fps, indices, None, "array")


def read_image(path: str | os.PathLike[str], limits: PixelLimits) -> Clip:
    """Returns an image as a clip of one frame; raises UserError for a missing or unreadable file."""
    shown = os.fspath(path)
    if _check_path(shown) or not os.path.isfile(shown):
        raise UserError(f"{shown}: expected an image file, got a folder or a device")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's remarks on large or odd files
            with Image.open(shown) as image:
                frames = resize_image(to_rgb(image), limits)
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{shown}: expected a readable image file: {error}") from None
    return Clip(frames, TARGET_FPS, np.zeros(1, np.int32), shown, "image")


def _check_path(path: str) -> bool:
    """Returns whether `path` is a folder; raises UserError where there is nothing to read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: expected a file or a folder of frames: {reason}") from None
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes)")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: expected a readable file or folder: permission denied")
    return stat.S_ISDIR(status.st_mode)


class _Crash(Exception):
    """The worker ended by a signal."""


def _decode(request: dict[str, Any], config: VideoConfig) -> tuple[dict[str, Any], np.ndarray]:
    readers = ["decord", "pyav"] if config.reader == "auto" else [config.reader]
    deadline = time.monotonic() + config.timeout_seconds
    while True:
        try:
            return _run_worker(request | {"readers": readers}, deadline, config.timeout_seconds)
        except _Crash as crash:
            if len(readers) == 1 or request["folder_fps"] is not None:
                other = "pyav" if readers == ["decord"] else "decord"
                raise UserError(
                    f"the reader {readers[0]} crashed ({crash}) on this file; "
                    f"try --set video.reader={other}, or encode the video anew"
                ) from None
            readers = ["pyav"]


def _run_worker(
    request: dict[str, Any], deadline: float, timeout: float
) -> tuple[dict[str, Any], np.ndarray]:
    request = request | {"timeout_seconds": timeout}
    with tempfile.TemporaryFile() as chatter:
        process = _start(chatter)
        late = threading.Event()
        timer = threading.Timer(deadline - time.monotonic(), _kill_late, (process, late))
        timer.daemon = True
        timer.start()
        try:
            reply = _converse(process, request)
            if reply is None:
                process.wait()
        finally:
            timer.cancel()
            _kill(process)
        if reply is None:
            raise _failure(process.returncode, late.is_set(), timeout, chatter)
    header, frames = reply
    if "error" in header:
        raise UserError(header["error"])
    return header, frames


def _start(chatter: IO[bytes]) -> subprocess.Popen[bytes]:
    inherited = os.environ.get("PYTHONPATH")
    paths = [str(PACKAGE_PARENT)] + ([inherited] if inherited else [])
    return subprocess.Popen(
        WORKER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=chatter,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,  # a process group of its own, to be killed whole
    )


def _converse(
    process: subprocess.Popen[bytes], request: dict[str, Any]
) -> tuple[dict[str, Any], np.ndarray] | None:
    """Sends the request; returns header and frames, or None where the worker ended before."""
    assert process.stdin is not None and process.stdout is not None
    with process.stdin, contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(request).encode())
        process.stdin.flush()
    length = process.stdout.read(LENGTH.size)
    if len(length) < LENGTH.size:
        return None
    text = process.stdout.read(LENGTH.unpack(length)[0])
    try:
        header = json.loads(text)
    except ValueError:
        return None
    frames = np.empty(header.get("shape", (0,)), np.uint8)
    view = memoryview(frames.reshape(-1))
    while view:
        count = process.stdout.readinto(view)  # type: ignore[attr-defined]
        if not count:
            return None
        view = view[count:]
    return header, frames


def _failure(code: int, late: bool, timeout: float, chatter: IO[bytes]) -> Exception:
    if late:
        return UserError(
            f"not decoded within {timeout:g} seconds and given up; if the file is sound, allow more: "
            f"--set video.timeout_seconds={2 * timeout:g}, or try another video.reader"
        )
    if code < 0:
        try:
            return _Crash(signal.Signals(-code).name)
        except ValueError:
            return _Crash(f"signal {-code}")
    chatter.seek(0)
    return RuntimeError(f"the decoding process failed:\n{chatter.read().decode(errors='replace')}")


def _kill_late(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    _kill_group(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    _kill_group(process)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
