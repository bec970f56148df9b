"""PyAV: frames by their presentation time stamps, each jump checked against what was decoded."""

import dataclasses
import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vreason_jax.video.decoders import DecodeError, Frame, NotInstalledError, gist
from vreason_jax.video.packets import Key, lacks_presentation_times, list_packets
from vreason_jax.video.pixels import on_white, turned
from vreason_jax.video.timeline import Timeline

STRAIGHT_PIXELS = 2**26  # of a whole video; so few are decoded throughout, whatever is asked
MOST_PIXELS = 2**27  # of one frame; more is a damaged header
THREADED_PIXELS = 2**17  # of one frame; threads that take a frame each double the work of smaller
CHECKED_FRAMES = 24  # at the head, against the packets
DAMAGED = 0.1  # share of the packets that fail, from which on a file is refused
KNOW_RECOVERY = ("h264", "hevc", "vvc")  # these show nothing before a frame that they can trust
WIDEST_PIXEL = 10.0  # ratio of its sides; beyond, the header is wrong


class PacketsMislead(Exception):
    """The frames that came are not those that the packets announced."""


class PyavDecoder:
    """A video by PyAV.

    Small videos, and those whose packets are no frames, are decoded from the start to the end, and
    what came out is the truth. Of others the packets are listed and checked at the head; then
    decoding begins at the key frame before each frame asked for, and every frame that comes must
    be the next of the list. Where one is not, `frames` raises PacketsMislead: then
    `straight=True` reads the file.
    """

    def __init__(self, path: str, *, straight: bool = False):
        try:
            import av
            import av.sidedata.sidedata as side_data
        except ImportError:
            raise NotInstalledError("PyAV is not installed") from None
        self._path, self._av = path, av
        _name_any_side_data(side_data.Type)
        self.notices: list[str] = []
        self._kept: list[Any] | None = None
        try:
            self._open()
            packets = list_packets(self._container, self._stream)
            self._packets = packets  # less what its head turns out not to show
            area = self._stream.codec_context.width * self._stream.codec_context.height
            small = packets.count * area <= STRAIGHT_PIXELS
            if straight or small or packets.stamps is None or not self._head_is_right():
                self._by_stamp = False
                self._decode_all(keep=small)
            else:
                self._by_stamp = True
                assert self._packets.stamps is not None
                self._take_times(self._packets.stamps, packets.last_duration)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError(f"PyAV: {gist(error)}") from None

    def frames(self, indices: Iterable[int]) -> Iterator[Frame]:
        """Yields the frames at ascending `indices`; raises PacketsMislead where they are others."""
        try:
            for index, frame in self._found([int(index) for index in indices]):
                if frame is None:
                    raise DecodeError(
                        f"PyAV: frame {index} of {self.timeline.total} cannot be decoded; the end "
                        "of the video is damaged or missing"
                    )
                yield self._shown(frame)
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError(f"PyAV: {gist(error)}") from None

    def _found(self, indices: list[int]) -> Iterator[tuple[int, Any]]:
        if self._by_stamp:
            for index in indices:
                yield index, self._frame_by_stamp(index)
            return
        frames = iter(self._kept) if self._kept is not None else self._again()
        number = -1
        for index in indices:
            frame = None
            while number < index:
                frame = next(frames, None)
                number += 1
            yield index, frame

    # Opening

    def _open(self) -> None:
        self._container = self._av.open(self._path)
        pictures = self._av.stream.Disposition.attached_pic
        videos = [s for s in self._container.streams.video if not s.disposition & pictures]
        if not videos:
            raise DecodeError("PyAV: the file holds no video stream")
        best = self._container.streams.best("video")
        self._stream = best if best in videos else videos[0]
        context = self._stream.codec_context
        if context is None:
            raise DecodeError("PyAV: no decoder knows the codec of its video")
        context.options = {"max_pixels": str(MOST_PIXELS)}
        small = context.width * context.height <= THREADED_PIXELS
        self._stream.thread_type = "SLICE" if small else "AUTO"
        self._codec = self._alpha_codec() or context
        self._next: int | None = None  # number of the frame that comes next, by the packets

    def _alpha_codec(self) -> Any:
        """Returns libvpx's decoder for a WebM with alpha: FFmpeg's own one drops it."""
        named = {key.lower(): value for key, value in self._stream.metadata.items()}
        library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(self._stream.codec_context.name)
        if named.get("alpha_mode") != "1" or library is None:
            return None
        if library not in self._av.codecs_available:
            self.notices.append("its transparency is lost: this PyAV has no libvpx")
            return None
        return self._av.CodecContext.create(library, "r")

    def _reopen(self) -> None:
        self._container.close()
        self._open()

    # Times

    def _take_times(self, stamps: Sequence[int | None] | np.ndarray, last_duration: int) -> None:
        base = float(self._stream.time_base or 1)
        seconds = np.asarray(stamps, np.float64) * base  # none is nan
        known = seconds[np.isfinite(seconds)]
        zero, start = known[0] if known.size else 0.0, self._container.start_time
        if start is not None and not lacks_presentation_times(self._container):
            zero = min(zero, start / self._av.time_base)
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.timeline = Timeline.of_stamps(
            seconds - zero,
            last_duration * base,
            float(rate) if rate else None,
            clock_breaks=bool(
                self._container.format.flags & self._av.format.Flags.ts_discont.value
            ),
        )

    def _decode_all(self, keep: bool) -> None:
        stamps: list[int | None] = []
        self._kept = [] if keep else None
        duration = failed = torn = 0
        decoding_times = lacks_presentation_times(self._container)
        for frame in self._from_the_start():
            if frame is None:
                failed += bool(stamps)  # before the first frame, a recording may lack its key
                continue
            # That of the packet that set the frame free: as late for every one of them.
            stamps.append(frame.dts if decoding_times else frame.pts)
            duration, torn = frame.duration or 0, torn + frame.is_corrupt
            if self._kept is not None:
                self._kept.append(frame)
        if not stamps or failed > DAMAGED * self._packets.count:
            raise DecodeError(
                f"PyAV: {failed or self._packets.count} of {self._packets.count} packets cannot "
                "be decoded; the video is damaged"
            )
        if failed:
            self.notices.append(f"{failed} of {self._packets.count} packets cannot be decoded")
        if torn:
            self.notices.append(f"{torn} of {len(stamps)} frames are damaged")
        self._take_times(stamps, duration)

    def _decoded(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Yields the frames of packets, and None for each packet that cannot be decoded."""
        for packet in packets:
            try:
                yield from self._codec.decode(packet if packet.size else None)
            except self._av.error.InvalidDataError:
                yield None

    def _from_the_start(self) -> Iterator[Any]:
        """Decodes the file; other decoders than these make up what a recording lacks at first."""
        if self._packets.table is None:
            self._reopen()
        else:
            self._seek(self._packets.table.dts)
        packets = self._container.demux(self._stream)
        if self._packets.keys and self._stream.codec_context.name not in KNOW_RECOVERY:
            packets = itertools.dropwhile(lambda packet: not packet.is_keyframe, packets)
        return self._decoded(packets)

    def _again(self) -> Iterator[Any]:
        return (frame for frame in self._from_the_start() if frame is not None)

    # Jumps

    def _head_is_right(self) -> bool:
        """Checks the first frames against the packets, less what cannot be decoded before them."""
        assert self._packets.stamps is not None
        decoded = itertools.dropwhile(lambda frame: frame is None, self._from_the_start())
        head = itertools.islice(decoded, CHECKED_FRAMES)
        came = [frame.pts for frame in head if frame is not None]
        stamps = self._packets.stamps
        if not came or came[0] is None:
            return False
        stamps = stamps[np.searchsorted(stamps, came[0]) :]
        self._packets = dataclasses.replace(self._packets, stamps=stamps)
        return came == stamps[: len(came)].tolist()

    def _frame_by_stamp(self, index: int) -> Any:
        keys = self._packets.keys_before(index, self._stream)
        near = keys[0] if keys else None
        if self._next is not None and self._next <= index and not self._worth_jumping(near):
            try:
                return self._forward(index)
            except PacketsMislead:
                pass
        for key in keys:
            try:
                self._jump(key)
                return self._forward(index)
            except PacketsMislead:
                continue
        raise PacketsMislead(f"frame {index} did not come from the key frames before it")

    def _worth_jumping(self, key: Key | None) -> bool:
        return key is not None and key.dts > self._fed

    def _jump(self, key: Key) -> None:
        """Begins decoding at a key packet, wherever the container's own seeking lands before it."""
        self._seek(key.dts if key.pts is None else min(key.dts, key.pts))
        demuxed = self._container.demux(self._stream)
        for packet in demuxed:
            if packet.is_keyframe and key.is_of(packet):
                break
            if packet.dts is not None and packet.dts > key.dts:
                raise PacketsMislead("a jump landed behind its key frame")
        else:
            raise PacketsMislead("a jump did not land on its key frame")
        assert self._packets.stamps is not None
        self._floor, self._fed = packet.pts, key.dts
        self._next = int(np.searchsorted(self._packets.stamps, packet.pts))
        self._coming = self._decoded(self._fed_packets(itertools.chain([packet], demuxed)))

    def _seek(self, stamp: int) -> None:
        self._container.seek(stamp, stream=self._stream)
        if self._codec is not self._stream.codec_context:
            self._codec.flush_buffers()

    def _fed_packets(self, packets: Iterable[Any]) -> Iterator[Any]:
        for packet in packets:
            self._fed = packet.dts if packet.dts is not None else self._fed
            yield packet

    def _forward(self, index: int) -> Any:
        """Decodes on to a frame; every one on the way must be the next of the packets."""
        assert self._packets.stamps is not None and self._next is not None
        if self._next > index:
            raise PacketsMislead("the key frame is shown after the frame")
        for frame in self._coming:
            if frame is None or frame.pts is None:
                raise PacketsMislead("a packet cannot be decoded")
            if frame.pts < self._floor:
                continue  # pictures that lean on what was jumped over
            if frame.pts != self._packets.stamps[self._next] or frame.is_corrupt:
                raise PacketsMislead("another frame came")
            self._next += 1
            if self._next > index:
                return frame
        raise PacketsMislead("the video ended before the frame")

    # Pixels

    def _shown(self, frame: Any) -> Frame:
        if any(part.is_alpha for part in frame.format.components) or frame.format.has_palette:
            pixels = on_white(frame.to_ndarray(format="rgba"))
        else:
            pixels = frame.to_ndarray(format="rgb24")
        ratio = float(self._stream.sample_aspect_ratio or 1)
        ratio = ratio if 1 / WIDEST_PIXEL <= ratio <= WIDEST_PIXEL else 1.0
        height, width = frame.height, max(1, round(frame.width * ratio))
        matrix = _display_matrix(frame)
        upright = turned(pixels, matrix)
        if upright.shape[:2] != pixels.shape[:2] or abs(matrix[1]) > abs(matrix[0]):
            height, width = width, height
        return Frame(upright, height, width)


def _name_any_side_data(kinds: Any) -> None:
    """Lets PyAV list what it has no name for: FFmpeg's newer kinds, such as a JPEG's EXIF."""

    def unnamed(kind, value):
        made = object.__new__(kind)
        made._name_, made._value_ = f"UNNAMED_{value}", value
        return made

    kinds._missing_ = classmethod(unnamed)


def _display_matrix(frame: Any) -> tuple[int, int, int, int]:
    data = frame.side_data.get("DISPLAYMATRIX")  # what iterating gives depends on PyAV's version
    if data is not None and data.buffer_size >= 36:
        a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
        return (a, b, c, d) if a or b or c or d else (1, 0, 0, 1)
    return 1, 0, 0, 1
