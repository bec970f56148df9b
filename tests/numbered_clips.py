"""Clips whose pixels carry their frame's number, in codecs and containers that people have.

A frame is 8 x 6 blocks, black or white: three rows hold the number in binary, three the inverse, so
that a frame that is mixed, grey or torn has no number.
"""

import dataclasses
import fractions
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from clip_cuts import CUTS

COLUMNS, ROWS, BLOCK = 8, 3, 16
WIDTH, HEIGHT = COLUMNS * BLOCK, 2 * ROWS * BLOCK
CONTRAST = 60  # levels between a block and its inverse
GROUP = 12  # frames from key frame to key frame
JOINTS = {"joined": 0.0, "leap": 3600.0}  # seconds at which the clock of a second half starts
LATE = 0.48  # seconds after the sound
RATE = 25
MILLISECOND = fractions.Fraction(1, 1000)

_X264 = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:"
_X265 = _X264 + "log-level=none:pools=1:"
_REORDERED = {"x264-params": _X264 + "bframes=3:b-adapt=0:b-pyramid=normal"}
_OPTIONS = {
    ("libx264", "closed"): {"x264-params": _X264 + "bframes=0"},
    ("libx264", "reordered"): _REORDERED,
    ("libx264", "open"): {"x264-params": _X264 + "bframes=3:b-adapt=0:open-gop=1"},
    ("libx264", "refresh"): {"x264-params": f"keyint={GROUP}:intra-refresh=1"},
    ("libx264", "interlaced"): {"x264-params": _X264 + "tff=1:bframes=2:b-adapt=0"},
    ("libx265", "closed"): {"x265-params": _X265 + "bframes=0:open-gop=0"},
    ("libx265", "reordered"): {"x265-params": _X265 + "bframes=3:b-adapt=0:open-gop=0"},
    ("libx265", "open"): {"x265-params": _X265 + "bframes=3:b-adapt=0:open-gop=1"},
    ("libvpx", "hidden"): {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"},
    ("libvpx-vp9", "hidden"): {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"},
    ("libvpx", "closed"): {"auto-alt-ref": "0", "deadline": "realtime"},
    ("libvpx-vp9", "closed"): {"auto-alt-ref": "0", "deadline": "realtime"},
    ("libsvtav1", "reordered"): {"preset": "6", "svtav1-params": "lp=1"},
    ("mpeg1video", "reordered"): {"bf": "2", "sc_threshold": "1000000000"},
    ("mpeg2video", "closed"): {"flags": "+cgop", "sc_threshold": "1000000000"},
    ("mpeg2video", "open"): {"bf": "2", "sc_threshold": "1000000000"},
    ("mpeg4", "pairs"): {"bf": "1", "b_strategy": "0", "sc_threshold": "1000000000"},
    ("mpeg4", "reordered"): {"bf": "2", "sc_threshold": "1000000000"},
    ("libwebp_anim", "closed"): {"lossless": "1", "loop": "0"},
}
_PIXELS = {
    "mjpeg": "yuvj420p",
    "prores_ks": "yuv422p10le",
    "gif": "gray",
    "libwebp_anim": "bgra",
    "apng": "gray",
    "qtrle": "rgb24",
}
_SOUND = {"mp4": "aac", "mkv": "aac", "ts": "mp2", "webm": "libopus"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A clip to make, by encoder, structure, container and rate.

    `structure` says how frames lean on each other: closed or open groups, reordered (closed, with
    B-frames), refresh (one key frame), interlaced, hidden (frames that are never shown),
    pairs (every second frame a B-frame). `cut` is
    one of CUTS, one of JOINTS (two files one after the other) or late (sound begins before). `rate`
    is constant, skips (frames left out of it) or jitter (milliseconds).
    """

    codec: str
    structure: str
    container: str
    rate: str = "constant"
    cut: str = ""
    count: int = 48
    options: tuple[tuple[str, str], ...] = ()  # of the container

    @property
    def name(self) -> str:
        """Returns the file's name."""
        marks = [self.codec, self.structure, self.cut, *(v for _, v in self.options), self.rate]
        return "-".join(filter(None, marks)).replace("+", "") + f".{self.container}"

    def lacking(self) -> list[str]:
        """Returns the encoders that it takes and this PyAV lacks."""
        needed = [self.codec, *([_SOUND[self.container]] if self.cut == "late" else [])]
        return [name for name in needed if not _has_encoder(name)]


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a player shows: the number of each frame, and its seconds from the file's start.

    `frame` is how long the shortest one lasts.
    """

    numbers: list[int]
    times: list[float]
    frame: float


def _has_encoder(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except av.codec.codec.UnknownCodecError:
        return False


def paint(number: int) -> np.ndarray:
    """Returns a frame uint8 [96,128] that shows a number below 2^24."""
    bits = (number >> np.arange(COLUMNS * ROWS) & 1).reshape(ROWS, COLUMNS).astype(np.uint8)
    blocks = np.concatenate([bits, 1 - bits])
    return np.kron(16 + 220 * blocks, np.ones((BLOCK, BLOCK), np.uint8))


def number_of(frame: np.ndarray) -> int | None:
    """Returns the number that a frame uint8 [h,w,3] of any size shows, None where it is unclear."""
    height, width = np.array(frame.shape[:2]) / (2 * ROWS, COLUMNS)
    levels = np.empty((2 * ROWS, COLUMNS))
    for row, column in np.ndindex(*levels.shape):
        top, left = int((row + 0.3) * height), int((column + 0.3) * width)
        block = frame[top : int((row + 0.7) * height) + 1, left : int((column + 0.7) * width) + 1]
        levels[row, column] = block.mean()
    apart = (levels[:ROWS] - levels[ROWS:]).ravel()
    if np.abs(apart).min() < CONTRAST:
        return None
    return int(np.sum((apart > 0) << np.arange(apart.size)))


def make(case: Case, folder: Path) -> tuple[Path, Shown]:
    """Writes a clip into a folder; returns its path and what a player shows of it."""
    path, times = folder / case.name, times_of(case)
    first, start = 0, 0.0
    if case.cut in CUTS:
        whole = folder / f"whole-{case.name}"
        _encode(case, range(case.count), times, whole)
        first, start = CUTS[case.cut](whole, path, times)
        whole.unlink()
    elif case.cut in JOINTS:
        _join(case, times, path)
    else:
        _encode(case, range(case.count), times, path)
    shown = [time - start for time in times[first:]]
    return path, Shown(list(range(first, case.count)), shown, float(np.diff(times).min()))


def _join(case: Case, times: list[float], path: Path) -> None:
    """Writes two halves one after the other, the second with a clock of its own."""
    half = case.count // 2
    with path.open("wb") as joined:
        for numbers, late in (range(half), 0.0), (range(half, case.count), JOINTS[case.cut]):
            part = path.with_name(f"part-{path.name}")
            own = [times[number] - times[numbers[0]] + late for number in numbers]
            _encode(case, numbers, own, part)
            joined.write(part.read_bytes())
            part.unlink()


def times_of(case: Case) -> list[float]:
    """Returns when each frame is shown, in seconds, before anything is cut off."""
    numbers = np.arange(case.count)
    ticks = {
        "constant": numbers,
        "skips": numbers + 2 * (numbers // 5) + 20 * (numbers > 30),
        "jitter": numbers + (numbers * 7 % 5) / 10,
    }[case.rate]
    return (np.round(ticks / RATE, 3) + (LATE if case.cut == "late" else 0)).tolist()


def _encode(case: Case, numbers: range, times: list[float], path: Path) -> None:
    base = MILLISECOND if case.rate == "jitter" else fractions.Fraction(1, RATE)
    pixels = _PIXELS.get(case.codec, "yuv420p")
    with av.open(str(path), "w", options=dict(case.options)) as out:
        stream: Any = out.add_stream(case.codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        context = stream.codec_context
        context.gop_size, context.time_base = GROUP, base
        context.options = _OPTIONS.get((case.codec, case.structure), {})
        if case.structure == "interlaced":
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        if case.cut == "late":
            _add_sound(out, _SOUND[case.container], times[-1])
        for number, time in zip(numbers, times, strict=True):
            frame = av.VideoFrame.from_ndarray(paint(number), "gray").reformat(format=pixels)
            frame.pts, frame.time_base = round(time / base), base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _add_sound(out: Any, codec: str, seconds: float) -> None:
    stream = out.add_stream(codec, rate=48000)
    stream.layout = "mono"
    resampler = av.AudioResampler(stream.format.name, "mono", 48000, stream.frame_size or 960)
    silence = av.AudioFrame.from_ndarray(
        np.zeros((1, int(seconds * 48000)), np.float32), "fltp", "mono"
    )
    silence.sample_rate, silence.pts = 48000, 0
    for frame in [*resampler.resample(silence), *resampler.resample(None)]:
        out.mux(stream.encode(frame))
    out.mux(stream.encode())
