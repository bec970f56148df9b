"""What the tests of video reading share: small encoded files, and the check of an error."""

import fractions
import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from patches_of_14 import sized

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.reader import read_video

GOLDENS = Path(__file__).parent / "goldens"
SMALL = sized(784, 4 * 784)
READERS = ("decord", "pyav")
needs_decord = pytest.mark.skipif(
    importlib.util.find_spec("decord") is None,
    reason="decord is not installed; it has wheels for Linux on x86-64, where this runs",
)
EACH_READER = [pytest.param("decord", marks=needs_decord), "pyav"]


def encode(
    path,
    count=30,
    size=(60, 92),
    rate=30,
    codec="libx264",
    times=None,
    gop=12,
    x264="",
    pix_fmt="yuv420p",
):
    """Writes a video whose frames all differ; `times` in milliseconds make the rate variable."""
    if codec not in av.codecs_available:
        codec = "mpeg4"
    height, width = size
    y, x = np.mgrid[:height, :width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
        stream.codec_context.gop_size = gop
        stream.options = {"x264-params": x264} if x264 else {}
        if times is not None:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        for number in range(count):
            planes = x * 2 + number * 7, y * 3 + number * 5, x * 0 + number * 8
            pixels = (np.stack(planes, -1) % 256).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], fractions.Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path, **config):
    return read_video(path, VideoConfig(**config), SMALL)


def error_of(path, **config):
    with pytest.raises(UserError) as caught:
        read(path, **config)
    return str(caught.value)


def assert_one_line_error(path, expected, **config):
    message = error_of(path, **config)
    assert expected in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
