"""The packets of a video, listed without decoding: time stamps, and where decoding can begin."""

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

LONG = 4096  # packets; the tables of shorter files are not worth trusting
AROUND = 64  # packets; no encoder reorders frames over more
SAMPLES = 256  # entries of a table; where these are steady, it is taken for steady
TRIES = 3  # keys from which a frame is sought before the packets are given up


@dataclasses.dataclass(frozen=True)
class Key:
    """A packet at which decoding can begin: its stamps, in units of the stream."""

    dts: int
    pts: int | None  # none: known when the packet is read

    def is_of(self, packet: Any) -> bool:
        """Returns whether it is this packet; behind a jump, some containers know but one stamp."""
        if packet.dts is None:
            return self.pts is not None and packet.pts == self.pts
        return packet.dts == self.dts


@dataclasses.dataclass(frozen=True)
class Packets:
    """What the container says: `stamps` int64 [N] of the frames that are shown, ascending.

    `stamps` is None where packets are no frames, or do not say when frames are shown: stamps are
    missing, come twice or run backwards, or are made up from uneven times of decoding.
    """

    count: int
    stamps: np.ndarray | None
    last_duration: int
    keys: Sequence[Key] = ()
    table: "Table | None" = None  # instead of the keys

    def keys_before(self, index: int, stream: Any) -> list[Key]:
        """Returns some keys from which the frame `index` can be reached, the nearest first."""
        assert self.stamps is not None
        stamp = int(self.stamps[index])
        if self.table is not None:
            return self.table.keys_before(stamp, stream)
        place = bisect.bisect_right(self.keys, stamp, key=lambda key: key.pts or 0)
        return list(reversed(self.keys[max(0, place - TRIES) : place]))


@dataclasses.dataclass(frozen=True)
class Table:
    """The table of a long MP4 of a constant rate: the first times of decoding and of showing.

    The table has times of decoding only. At a constant rate the frames have the same times, moved
    by the delay that the first packets show. It is looked up around the frames asked for alone:
    where packet n is decoded at n steps, n packets lie before it, whatever these are.
    """

    dts: int
    pts: int
    step: int

    @classmethod
    def of(cls, container: Any, stream: Any) -> "Table | None":
        """Returns the table of a stream, or None where its rate is not constant or it goes on.

        Fragments behind the table are found at its end.
        """
        entries, count = stream.index_entries, len(stream.index_entries)
        table = cls(entries[0].timestamp, 0, entries[1].timestamp - entries[0].timestamp)
        places = range(0, count, max(1, count // SAMPLES))
        if table.step <= 0 or not table.is_steady(entries, [*places, count - 1]):
            return None
        head = list(itertools.islice(container.demux(stream), AROUND))
        if any(packet.pts is None or packet.dts is None for packet in head):
            return None
        container.seek(entries[count - 1].timestamp, stream=stream)
        end = max((p.dts for p in container.demux(stream) if p.dts is not None), default=None)
        grown = len(stream.index_entries) > count
        if grown or head[0].dts != table.dts or end != table.dts + (count - 1) * table.step:
            return None
        return dataclasses.replace(table, pts=min(packet.pts for packet in head))

    def is_steady(self, entries: Any, places: Iterable[int]) -> bool:
        """Returns whether the entries at `places` are decoded at their steps, and are shown."""
        return all(
            entry.timestamp == self.dts + place * self.step and not entry.is_discard
            for place in places
            for entry in (entries[place],)
        )

    def keys_before(self, stamp: int, stream: Any) -> list[Key]:
        """Returns the keys before a frame; none where the packets around it are not steady."""
        entries = stream.index_entries
        place = (stamp - self.pts) // self.step
        first, last = max(0, place - AROUND), min(len(entries), place + AROUND + 1)
        if not self.is_steady(entries, range(first, last)):
            return []
        keys: list[Key] = []
        time = self.dts + place * self.step
        while len(keys) < TRIES and (found := entries.search_timestamp(time)) >= 0:
            keys.append(Key(entries[found].timestamp, None))
            time = keys[-1].dts - 1
        return keys


def list_packets(container: Any, stream: Any) -> Packets:
    """Returns the packets of a stream: of long MP4 files by their tables, else by reading on."""
    if "mov" in container.format.name and len(stream.index_entries) >= LONG:
        table = Table.of(container, stream)
        if table is not None:
            count = len(stream.index_entries)
            stamps = table.pts + table.step * np.arange(count, dtype=np.int64)
            return Packets(count, stamps, table.step, table=table)
        container.seek(stream.index_entries[0].timestamp, stream=stream)
    return _by_demuxing(container, stream)


def _by_demuxing(container: Any, stream: Any) -> Packets:
    hides = stream.codec_context.name == "vp8"
    rows = [
        (p.pts, p.dts, p.is_keyframe, p.is_discard or (hides and is_hidden_vp8(p)), p.duration)
        for p in container.demux(stream)
        if p.size
    ]
    # Matroska leaves open when the first packets are decoded.
    keys = [
        Key(pts if dts is None else dts, pts)
        for pts, dts, is_key, *_ in rows
        if is_key and pts is not None
    ]
    shown = [(pts, duration or 0) for pts, _, _, hidden, duration in rows if not hidden]
    known = {pts: duration for pts, duration in shown if pts is not None}
    last_duration = known[max(known)] if known else 0
    usable = bool(keys) and len(known) == len(shown) and _are_steps(container, rows)
    stamps = np.sort(np.fromiter(known, np.int64)) if usable else None
    return Packets(len(rows), stamps, last_duration, sorted(keys, key=lambda key: key.pts or 0))


def _are_steps(container: Any, rows: list[tuple]) -> bool:
    """Returns whether the times of decoding ascend, and tell when frames are shown if need be."""
    steps = np.diff([dts for _, dts, *_ in rows if dts is not None])
    even = np.all(steps == steps[:1]) or not lacks_presentation_times(container)
    return bool(np.all(steps >= 0) and even)


def lacks_presentation_times(container: Any) -> bool:
    """Returns whether a container says only when frames are decoded; FFmpeg guesses the rest."""
    return container.format.name == "avi"


def is_hidden_vp8(packet: Any) -> bool:
    """Returns whether a VP8 packet only refreshes a reference (RFC 6386, 9.1: show_frame 0)."""
    return not bytes(memoryview(packet)[:1])[0] & 0x10
