"""The packets of a video, listed without decoding: time stamps, and where decoding can begin."""

import dataclasses
import itertools
from typing import Any

import numpy as np

LONG = 4096  # packets; the tables of shorter files are not worth trusting
HEAD = 64  # packets; no encoder reorders frames over more


@dataclasses.dataclass(frozen=True)
class Key:
    """A packet at which decoding can begin: its stamps, in units of the stream."""

    dts: int
    pts: int | None  # none: known when the packet is read
    place: int  # among the packets


@dataclasses.dataclass(frozen=True)
class Packets:
    """What the container says: `stamps` int64 [N] of the frames that are shown, ascending.

    `stamps` is None where packets are no frames, or do not say when frames are shown: stamps are
    missing, come twice or run backwards, or are made up from uneven times of decoding.
    """

    count: int
    stamps: np.ndarray | None
    keys: list[Key]
    last_duration: int = 0

    def keys_before(self, index: int) -> list[Key]:
        """Returns the keys from which the frame `index` can be reached, the nearest first."""
        assert self.stamps is not None
        stamp = int(self.stamps[index])
        return [
            key
            for key in reversed(self.keys)
            if (key.place <= index if key.pts is None else key.pts <= stamp)
        ]


def list_packets(container: Any, stream: Any) -> Packets:
    """Returns the packets of a stream: of long MP4 files by their tables, else by reading on."""
    if "mov" in container.format.name and len(stream.index_entries) >= LONG:
        listed = _by_table(container, stream)
        if listed is not None:
            return listed
    return _by_demuxing(container, stream)


def _by_demuxing(container: Any, stream: Any) -> Packets:
    codec = stream.codec_context.name
    shown: list[int | None] = []
    decoded_at: list[int | None] = []
    keys: list[Key] = []
    duration = 0
    last: tuple[int, int] = (-(2**63), 0)
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.is_keyframe and packet.pts is not None and packet.dts is not None:
            keys.append(Key(packet.dts, packet.pts, len(decoded_at)))
        decoded_at.append(packet.dts)
        if packet.is_discard or (codec == "vp8" and is_hidden_vp8(packet)):
            continue
        shown.append(packet.pts)
        if packet.pts is not None:
            last = max(last, (packet.pts, packet.duration or 0))
    duration = last[1]
    known = [stamp for stamp in shown if stamp is not None]
    ordered = all(
        early is not None and late is not None and early <= late
        for early, late in itertools.pairwise(decoded_at)
    )
    usable = bool(keys) and ordered and len(set(known)) == len(shown)
    if lacks_presentation_times(container):
        usable = usable and len(set(np.diff(decoded_at).tolist())) <= 1
    stamps = np.sort(np.asarray(known, np.int64)) if usable else None
    return Packets(len(decoded_at), stamps, keys, duration)


def _by_table(container: Any, stream: Any) -> Packets | None:
    """Returns the packets by the table of an MP4, or None where their rate is not constant.

    The table has times of decoding only. At a constant rate the frames have the same times, moved
    by the delay that the first packets show.
    """
    entries = [(e.timestamp, e.is_keyframe, e.is_discard) for e in stream.index_entries]
    times = np.asarray([entry[0] for entry in entries], np.int64)
    steps = np.diff(times)
    if steps[0] <= 0 or np.any(steps != steps[0]) or any(entry[2] for entry in entries):
        return None
    head = []
    for packet in container.demux(stream):
        if packet.pts is None or packet.dts is None or len(head) == HEAD:
            break
        head.append((packet.pts, packet.dts))
    if not head or head[0][1] != times[0]:
        return None
    start = min(pts for pts, _ in head)
    keys = [Key(int(times[n]), None, n) for n, entry in enumerate(entries) if entry[1]]
    stamps = start + steps[0] * np.arange(len(times), dtype=np.int64)
    return Packets(len(times), stamps, keys, int(steps[0])) if keys else None


def lacks_presentation_times(container: Any) -> bool:
    """Returns whether a container says only when frames are decoded; FFmpeg guesses the rest."""
    return container.format.name == "avi"


def is_hidden_vp8(packet: Any) -> bool:
    """Returns whether a VP8 packet only refreshes a reference (RFC 6386, 9.1: show_frame 0)."""
    return not bytes(memoryview(packet)[:1])[0] & 0x10
