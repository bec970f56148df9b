"""What people do to a clip without encoding it anew: cut it, begin within it, pack its frames."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

DROPPED = 5  # packets that a recording lacks which begins within a group
TRIMMED = 7  # frames that an edit list hides
_PICTURE = b"\0\0\1\xb6"  # start code of an MPEG-4 picture
_PACKED = b"\0\0\1\xb2DivX503b1393p"  # user data by which decoders know packed frames
_NOT_CODED = _PICTURE + b"\x50\x4f"  # a P picture that repeats the one before, for 17 to 32 Hz


def trim(whole: Path, path: Path, times: list[float]) -> tuple[int, float]:
    """Moves the first frames before time zero, as a cut without encoding does."""
    packets = _packets(whole)
    for packet in packets:
        shift = round(times[TRIMMED] / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
    _mux(whole, path, packets)
    return TRIMMED, times[TRIMMED]


def begin_midway(whole: Path, path: Path, times: list[float]) -> tuple[int, float]:
    """Leaves out the first packets, as a recorder does that is switched on within a group.

    Returns the first frame that can be shown, that of the next key packet, and the start of the
    file as its container states it; an AVI starts with the first frame.
    """
    packets = _packets(whole)
    stamps = sorted(packet.pts for packet in packets)
    _mux(whole, path, packets[DROPPED:])
    first = stamps.index(next(p.pts for p in packets[DROPPED:] if p.is_keyframe))
    if path.suffix == ".avi":
        return first, times[first]
    with av.open(str(path)) as cut:
        key = next(packet for packet in cut.demux(video=0) if packet.is_keyframe)
        lead = float(key.pts * key.time_base) - (cut.start_time or 0) / av.time_base
    return first, times[first] - lead


def _packets(path: Path) -> list[Any]:
    with av.open(str(path)) as source:
        return [packet for packet in source.demux(video=0) if packet.size]


def _mux(whole: Path, path: Path, packets: list[Any]) -> None:
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in packets:
            packet.stream = stream
            out.mux(packet)


def pack(whole: Path, path: Path, times: list[float]) -> tuple[int, float]:
    """Puts each B-frame into the packet of the frame before it, as DivX and XviD do for AVI.

    An empty picture fills the place that becomes free.
    """
    packets = _packets(whole)
    contents = [bytes(packet) for packet in packets]
    for number, (early, late) in enumerate(itertools.pairwise(contents)):
        if _is_b_picture(late):
            contents[number : number + 2] = early + late, _NOT_CODED
    packed = []
    for packet, data in zip(packets, contents, strict=True):
        other = av.Packet(data.replace(_PICTURE, _PACKED + _PICTURE, 1) if not packed else data)
        other.pts = other.dts = len(packed)
        other.time_base, other.is_keyframe = packet.time_base, packet.is_keyframe
        packed.append(other)
    _mux(whole, path, packed)
    return 0, 0.0


def _is_b_picture(data: bytes) -> bool:
    return data[data.index(_PICTURE) + 4] >> 6 == 2


CUTS: dict[str, Callable[[Path, Path, list[float]], tuple[int, float]]] = {
    "trimmed": trim,  # by an edit list
    "midway": begin_midway,
    "packed": pack,
}
