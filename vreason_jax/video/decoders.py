"""The native readers behind one face: how many frames, at what rate, and the frames asked for."""

import bisect
import importlib.util
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np

DECORD_BATCH = 4  # frames at full size held at a time


class DecodeError(Exception):
    """A reader cannot open the file or give a frame of it; the message is one line."""


class NotInstalledError(DecodeError):
    """The package of a reader is not there: no fault of the file, so worth no notice."""


class Decoder(Protocol):
    """An open video: `total` frames at `fps` frames per second (none where the file names none)."""

    total: int
    fps: float | None

    def frames(self, indices: Iterable[int]) -> Iterator[np.ndarray]:
        """Yields the frames uint8 [h,w,3] at ascending `indices`, upright; raises DecodeError."""
        ...


class DecordDecoder:
    """decord, which qwen-vl-utils uses: seeks by itself and turns frames upright.

    decord 0.6 can land some frames off its index where key frames are not self-contained (open
    groups of pictures); PyAV does not.
    """

    def __init__(self, path: str):
        if importlib.util.find_spec("decord") is None:
            raise NotInstalledError("decord is not installed")
        try:
            import decord

            self._video = decord.VideoReader(path)
            self.total = len(self._video)
            self.fps = float(self._video.get_avg_fps())
        except Exception as error:  # decord raises its own class, RuntimeError or OSError
            raise DecodeError(f"decord: {one_line(error)}") from None

    def frames(self, indices: Iterable[int]) -> Iterator[np.ndarray]:
        """Yields the frames at ascending `indices`, decoded a few at a time."""
        wanted = [int(index) for index in indices]
        for start in range(0, len(wanted), DECORD_BATCH):
            try:
                batch = self._video.get_batch(wanted[start : start + DECORD_BATCH]).asnumpy()
            except Exception as error:
                raise DecodeError(f"decord: {one_line(error)}") from None
            yield from batch


class PyavDecoder:
    """PyAV, with decord's frame numbering: the n-th frame in order of presentation.

    The packets are indexed without decoding; then it jumps to the last key frame before each frame
    asked for. Where time stamps are missing or a jump goes astray, it decodes from the start and
    counts, which is slow and always right.
    """

    def __init__(self, path: str):
        try:
            import av
        except ImportError:
            raise NotInstalledError("PyAV is not installed") from None
        self._path, self._av = path, av
        try:
            times, keys = self._index()
            self._open()
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError(f"PyAV: {one_line(error)}") from None
        self.total = len(times)
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self._by_time = None not in times and len(set(times)) == len(times)
        self._times = sorted(times) if self._by_time else []
        self._keys = sorted(keys) if self._by_time else []

    def frames(self, indices: Iterable[int]) -> Iterator[np.ndarray]:
        """Yields the frames at ascending `indices`, one at a time."""
        try:
            for index in indices:
                frame = self._frame_at(int(index))
                if frame is None:
                    raise DecodeError(
                        f"PyAV: frame {index} of {self.total} cannot be decoded; the end of the "
                        "video is damaged or missing"
                    )
                yield self._upright(frame)
        except (self._av.FFmpegError, OSError) as error:
            raise DecodeError(f"PyAV: {one_line(error)}") from None

    def _index(self) -> tuple[list[Any], list[Any]]:
        with self._av.open(self._path) as container:
            if not container.streams.video:
                raise DecodeError("PyAV: the file holds no video stream")
            packets = [
                (packet.pts, packet.is_keyframe)
                for packet in container.demux(container.streams.video[0])
                if packet.size and not packet.is_discard
            ]
        return [time for time, _ in packets], [time for time, is_key in packets if is_key]

    def _open(self) -> None:
        self._container = self._av.open(self._path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._size: tuple[int, int] | None = None
        self._restart()

    def _restart(self) -> None:
        self._decoded = self._container.decode(self._stream)
        self._next = 0  # number of the frame that comes next, where frames are counted
        self._reached = None  # time of the last frame, where frames are told by time

    def _frame_at(self, index: int) -> Any:
        if self._by_time:
            frame = self._frame_by_time(self._times[index])
            if frame is not None:
                return frame
            self._by_time = False
            self._container.close()
            self._open()
        return self._frame_by_count(index)

    def _frame_by_time(self, time: int) -> Any:
        key = bisect.bisect_right(self._keys, time) - 1
        if key > 0 and (self._reached is None or self._keys[key] > self._reached):
            self._container.seek(self._keys[key], stream=self._stream)
            self._restart()
        for frame in self._decoded:
            self._reached = frame.pts
            if frame.pts is None or frame.pts >= time:
                return frame if frame.pts == time else None
        return None

    def _frame_by_count(self, index: int) -> Any:
        for frame in self._decoded:
            self._next += 1
            if self._next > index:
                return frame
        return None

    def _upright(self, frame: Any) -> np.ndarray:
        # A stream that changes its size midway is scaled to its first frame, as decord does.
        self._size = self._size or (frame.width, frame.height)
        pixels = frame.to_ndarray(format="rgb24", width=self._size[0], height=self._size[1])
        return np.rot90(pixels, round(frame.rotation / 90))


DECODERS = {"decord": DecordDecoder, "pyav": PyavDecoder}


def one_line(error: Exception) -> str:
    """Returns the gist of an exception: its first full line, without decord's stack of frames."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    # decord opens with "[12:00:00] /path/of/its/build/file.cc:123: ".
    return text.split(".cc:", 1)[-1].split(": ", 1)[-1][:200] if ".cc:" in text else text[:200]
