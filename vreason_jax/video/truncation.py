"""Tells a cut-off file by its own headers: readers accept some, and would sample a shorter clip."""

import os
import struct
from collections.abc import Callable
from typing import BinaryIO

MATROSKA = b"\x1a\x45\xdf\xa3"
MATROSKA_SEGMENT = b"\x18\x53\x80\x67"
MP4_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")


def missing_bytes(path: str) -> int:
    """Returns how many bytes the headers promise beyond the end of the file, 0 where none.

    Reads the top-level boxes of MP4 and MOV (ISO 14496-12), the first chunk of AVI (RIFF) and the
    segment of Matroska and WebM (RFC 8794); other files and sizes left open count as whole.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(12)
        file.seek(0)
        return max(0, _promised_by(start)(file, size) - size)


def _promised_by(start: bytes) -> Callable[[BinaryIO, int], int]:
    if start[4:8] in MP4_FIRST_BOXES:
        return _end_of_boxes
    if start[:4] == MATROSKA:
        return _end_of_segment
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return _end_of_riff
    return lambda file, size: size


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            break  # a few stray bytes after the last box
        length, kind = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length < 8 or not kind.strip().isalnum():
            break  # "to the end of the file", or no box at all
        position += length
    return position


def _end_of_segment(file: BinaryIO, size: int) -> int:
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(12)
        value, width = _vint(header[4:])
        if value is None:
            break
        if header[:4] == MATROSKA_SEGMENT:
            return position + 4 + width + value
        if header[:4] != MATROSKA:
            break
        position += 4 + width + value
    return size


def _vint(data: bytes) -> tuple[int | None, int]:
    """Returns the value and width of a variable-length size; all ones mean a size left open."""
    if not data or not data[0]:
        return None, 0
    width = 9 - data[0].bit_length()
    bits = 7 * width
    value = int.from_bytes(data[:width], "big") & ((1 << bits) - 1)
    return (None, width) if value == (1 << bits) - 1 or len(data) < width else (value, width)


def _end_of_riff(file: BinaryIO, size: int) -> int:
    length = struct.unpack("<I", file.read(8)[4:])[0]
    return size if length == 0xFFFFFFFF else length + 8
