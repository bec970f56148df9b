"""Videos, frame arrays and images as clips; files are decoded in a process that can be killed."""

import dataclasses
import os
import warnings

import numpy as np

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError, one_line
from vreason_jax.video.images import UNREADABLE, read_still
from vreason_jax.video.names import existing_path
from vreason_jax.video.process import decode, spooled
from vreason_jax.video.resize import Sizing, check_room, resize_frames, resize_image
from vreason_jax.video.sampling import (
    TARGET_FPS,
    WHOLE,
    Segment,
    choose_indices,
    count_frames,
    max_frames_of,
)
from vreason_jax.video.spool import STDIN, kind_of
from vreason_jax.video.timeline import is_usable_rate


@dataclasses.dataclass(frozen=True)
class Clip:
    """Chosen frames of a video, resized.

    `fps` is the rate of the chosen frames (F / total * the video's own rate), `frame_indices` their
    numbers among the frames that can be shown, `times` when they are shown, in seconds from the
    start of the file, `reader` one of decord, pyav, folder, array, image. `notices` tells, line by
    line, what the user should know of how the file was read.
    """

    frames: np.ndarray  # uint8 [F, h, w, 3]
    fps: float
    frame_indices: np.ndarray  # int32 [F]
    times: np.ndarray  # float64 [F]
    path: str | None
    reader: str
    notices: tuple[str, ...] = ()


def read_video(
    path: str | os.PathLike[str],
    config: VideoConfig,
    sizing: Sizing,
    *,
    folder_fps: float = TARGET_FPS,
    segment: Segment = WHOLE,
) -> Clip:
    """Returns the frames that `config` chooses of a video file or of a folder of images.

    A folder counts as a video of `folder_fps` frames a second; of a `segment`, frames are chosen as
    if it were the whole video, and their indices count from the start of the file. Decoding
    runs in a process of its own. Raises UserError for a missing, empty, cut-off or unreadable file,
    for a folder without frames, or whose chosen ones are unreadable or of unequal sizes, for a
    reader that crashes or takes longer than `config.timeout_seconds`, and for a segment outside the
    video.
    """
    shown = os.fspath(path)
    found = os.fspath(existing_path(shown)) if shown not in STDIN else shown
    is_folder = _check_path(found, shown)
    if is_folder and not is_usable_rate(folder_fps):
        raise UserError(f"--fps: expected a rate above 0 for {shown}, got {folder_fps}")
    max_frames_of(config, sizing.geometry.temporal_patch)
    try:
        segment.check()
        request = {
            # absolute: "a:b.mp4" must not be read as a protocol
            "path": found if found in STDIN else os.path.abspath(found),
            "folder_fps": folder_fps if is_folder else None,
            "segment": segment,
            "sizing": dataclasses.asdict(sizing),
            "config": dataclasses.asdict(config),
        }
        header, frames = decode(request, config)
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None
    indices = np.asarray(header["frame_indices"], np.int32)
    notices = tuple(f"{shown}: {notice}" for notice in header["notices"])
    times = np.asarray(header["times"], np.float64)
    return Clip(frames, header["fps"], indices, times, shown, header["reader"], notices)


def clip_from_array(frames: np.ndarray, fps: float, config: VideoConfig, sizing: Sizing) -> Clip:
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
    total, group = len(frames), sizing.geometry.temporal_patch
    count = total
    if config.num_frames is not None:
        count = count_frames(total, fps, config, group)
    elif total > config.max_frames:
        count = max_frames_of(config, group)
    indices = choose_indices(total, count, config)
    size = sizing.sides(frames.shape[1], frames.shape[2], count)
    check_room(count, *size)
    chosen = resize_frames(frames[indices], *size)
    return Clip(chosen, count / total * fps, indices, indices / fps, None, "array")


def read_image(path: str | os.PathLike[str], sizing: Sizing) -> Clip:
    """Returns an image as a clip of one frame; raises UserError for an unreadable file."""
    shown = os.fspath(path)
    found = shown if shown in STDIN else os.path.abspath(existing_path(shown))
    if _check_path(found, shown):
        raise UserError(f"{shown}: expected an image file, got a folder or a device")
    try:
        with warnings.catch_warnings(), spooled(found, VideoConfig.timeout_seconds) as file:
            warnings.simplefilter("ignore")  # PIL's remarks on large or odd files
            frames = resize_image(read_still(file), sizing)
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None
    except UNREADABLE as error:
        raise UserError(f"{shown}: expected a readable image file: {one_line(error)}") from None
    return Clip(frames, TARGET_FPS, np.zeros(1, np.int32), np.zeros(1), shown, "image")


def _check_path(path: str, shown: str) -> bool:
    """Returns whether `path` is a folder; raises UserError where there is nothing to read."""
    try:
        kind = kind_of(path)
        if path != "-" and kind == "file" and os.path.getsize(path) == 0:
            raise UserError("the file is empty (0 bytes)")
        if path not in STDIN and not os.access(path, os.R_OK):
            raise UserError("expected a readable file or folder: permission denied")
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None
    return kind == "folder"
