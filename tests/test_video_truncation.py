"""The check of cut-off files: what the headers of a container promise, whatever the file is."""

import struct
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.video.truncation import MATROSKA, MATROSKA_SEGMENT, missing_bytes

SIZES = st.lists(st.integers(0, 40), max_size=4)


def missing(data: bytes) -> int:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return missing_bytes(file.name)


def boxes(sizes: list[int], wide: list[bool]) -> bytes:
    """An MP4 of boxes that hold so many bytes; `wide` ones state their size in eight bytes."""
    parts = [struct.pack(">I4s", 16, b"ftyp") + bytes(8)]
    for size, long in zip(sizes, wide, strict=False):
        if long:
            parts.append(struct.pack(">I4sQ", 1, b"mdat", 16 + size) + bytes(size))
        else:
            parts.append(struct.pack(">I4s", 8 + size, b"moov") + bytes(size))
    return b"".join(parts)


def matroska(sizes: list[int], wide: list[bool]) -> bytes:
    """A header and a segment; sizes of one byte, or of eight."""
    body = b"".join(map(bytes, sizes))
    size = (1 << 56 | len(body)).to_bytes(8) if wide[:1] == [True] else bytes([0x80 | len(body)])
    head = MATROSKA + b"\x84" + bytes(4)
    return head + MATROSKA_SEGMENT + size + body


def avi(sizes: list[int], wide: list[bool]) -> bytes:
    body = b"AVI " + b"".join(map(bytes, sizes))
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("write", [boxes, matroska, avi])
@given(data=st.data())
def test_a_cut_file_lacks_what_was_cut_and_a_whole_one_nothing(write, data):
    sizes = data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=4))
    wide = data.draw(st.lists(st.booleans(), min_size=4, max_size=4))
    whole = write(sizes, wide)
    assert missing(whole) == 0
    # The header of what is cut must be there: 12 bytes tell the container, 16 the last box's size.
    last = len(whole) - min(len(whole), sizes[-1])
    cut = data.draw(st.integers(max(last, 24), max(last, 24, len(whole))))
    assert missing(whole[:cut]) == max(0, len(whole) - cut)


@given(st.binary(max_size=64), st.sampled_from([b"", MATROSKA, b"RIFF", b"\0\0\0\x10ftyp"]))
def test_any_bytes_have_an_answer(data, start):
    assert missing(start + data) >= 0
