"""Seeded damage: to a file's bytes, to the structure of JSON, to the chunks of media."""

import copy
import json
import random
import re
from typing import Any

DEPTH = 10_000
STRANGE_VALUES = (
    None, True, False, 0, 1, -1, 0.5, -0.0, 10**9, 10**12, 2**31 - 1, 2**31, 2**63, -(2**63),
    10**30, 1e308, float("inf"), float("-inf"), float("nan"), "", "none", "\ud800", "\0", "../..",
    "/dev/zero", "\x1b[31m\n", "é" * 50, "x" * 100_000, [], {}, [None], {"": None}, [[]] * 3,
    "1", "-5", [0] * 1000, {"type": "x"},
)  # fmt: skip


def damage_bytes(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Returns other bytes and what was done."""
    return _by_one_of(_BYTE_CHANGES, data, rng)


def damage_json(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Returns another JSON text, most of the time by its structure, and what was done."""
    return _restructure(data, rng) if rng.random() < 0.7 else damage_bytes(data, rng)


def damage_json_lines(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Returns JSON lines of which one is another, or damaged bytes, and what was done."""
    if rng.random() < 0.3:
        return damage_bytes(data, rng)
    lines = data.splitlines()
    number = rng.randrange(len(lines))
    lines[number], change = _restructure(lines[number], rng)
    return b"\n".join(lines) + b"\n", f"line {number + 1}: {change}"


def damage_media(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Returns another media file, half of the time by its chunks and fields, and what was done."""
    return _by_one_of(_MEDIA_CHANGES, data, rng) if rng.random() < 0.5 else damage_bytes(data, rng)


def _by_one_of(changes: tuple, data: bytes, rng: random.Random) -> tuple[bytes, str]:
    change = rng.choice(changes)
    return change(data, rng), change.__name__.strip("_")


def _restructure(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    root = json.loads(data)
    change = rng.choice(_JSON_CHANGES)
    holder, key = rng.choice(list(_places(root)) or [(None, None)])
    if holder is None:
        return b"[]", "replaced"
    text = change(copy.deepcopy(root), _path(root, holder, key), rng)
    where = ".".join(map(str, _path(root, holder, key)))
    return text.encode("utf-8", "surrogatepass"), f"{change.__name__.strip('_')} {where}"


def _flip_bit(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_early(data: bytes, rng: random.Random) -> bytes:
    """Headers stand in front."""
    return _flip_bit(data[:200], rng) + data[200:]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(len(data) + 1), rng.choice((1, 4, 8, 64))
    return data[:start] + rng.randbytes(size) + data[start + size :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randint(1, 64) :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    end = start + rng.randint(1, 4096)
    return data[:end] + data[start:end] + data[end:]


def _fill(data: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(len(data) + 1), rng.choice((8, 512))
    return data[:start] + rng.choice((b"\0", b"\xff", b"9", b"[")) * size + data[start + size :]


def _length_field(data: bytes, rng: random.Random) -> bytes:
    """Many formats begin with a length of eight bytes."""
    length = rng.choice((0, 1, 2**31, 2**63 - 1, 2**64 - 1, len(data), len(data) - 8))
    return max(0, length).to_bytes(8, "little") + data[8:]


def _empty(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\0", b"null", b"[" * DEPTH, b'{"a":' * DEPTH, b"\xef\xbb\xbf" + data))


_BYTE_CHANGES = (
    _flip_bit, _flip_bit, _flip_early, _overwrite, _cut, _remove, _repeat, _fill, _length_field,
    _empty,
)  # fmt: skip


def _header_field(data: bytes, rng: random.Random) -> bytes:
    """Tables of media stand at one of the ends."""
    near = rng.randrange(min(len(data), 2048))
    return _field(data, near if rng.random() < 0.5 else len(data) - near, rng)


def _named_field(data: bytes, rng: random.Random) -> bytes:
    """A number beside a name of four letters, as in the boxes of MP4 and the chunks of AVI."""
    names = [found.start() for found in re.finditer(rb"[A-Za-z]{3}[A-Za-z0-9 ]", data)]
    place = rng.choice(names or [0]) + rng.choice((-4, 4, 8, 12, 16, 20, 24, 28))
    return _field(data, max(0, place), rng)


def _field(data: bytes, place: int, rng: random.Random) -> bytes:
    width = rng.choice((1, 2, 4, 4, 8))
    number = rng.choice((0, 1, 2, 2**31, 2**63, 2**64, len(data), rng.getrandbits(32))) - 1
    value = (number % 256**width).to_bytes(width, rng.choice(("big", "little")))
    return data[:place] + value + data[place + width :]


def _remove_chunk(data: bytes, rng: random.Random) -> bytes:
    start, end = _chunk(data, rng)
    return data[:start] + data[end:]


def _repeat_chunk(data: bytes, rng: random.Random) -> bytes:
    start, end = _chunk(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _move_chunk(data: bytes, rng: random.Random) -> bytes:
    start, end = _chunk(data, rng)
    rest = data[:start] + data[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + data[start:end] + rest[place:]


def _shuffle_bytes(data: bytes, rng: random.Random) -> bytes:
    """One byte in a hundred becomes another, as on a bad disk."""
    changed = bytearray(data)
    for _ in range(len(data) // 100):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _chunk(data: bytes, rng: random.Random) -> tuple[int, int]:
    """Packets of transport streams and packs of program streams have such sizes."""
    size = rng.choice((188, 2048, max(1, len(data) // 10)))
    start = rng.randrange(0, max(1, len(data)), size)
    return start, start + size


_MEDIA_CHANGES = (
    _header_field, _header_field, _named_field, _named_field, _remove_chunk, _repeat_chunk,
    _move_chunk, _shuffle_bytes,
)  # fmt: skip


def _delete(root: Any, path: tuple, rng: random.Random) -> str:
    holder = _holder(root, path)
    del holder[path[-1]]
    return json.dumps(root)


def _retype(root: Any, path: tuple, rng: random.Random) -> str:
    _holder(root, path)[path[-1]] = rng.choice(STRANGE_VALUES)
    return json.dumps(root, ensure_ascii=rng.random() < 0.5)


def _wrap(root: Any, path: tuple, rng: random.Random) -> str:
    holder = _holder(root, path)
    value = holder[path[-1]]
    holder[path[-1]] = rng.choice(([value], {"a": value}, str(value), [value, value]))
    return json.dumps(root)


def _nest(root: Any, path: tuple, rng: random.Random) -> str:
    _holder(root, path)[path[-1]] = "NESTED"
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    deep = opening * DEPTH + "1" + closing * DEPTH
    return json.dumps(root).replace('"NESTED"', deep)


def _digits(root: Any, path: tuple, rng: random.Random) -> str:
    _holder(root, path)[path[-1]] = "DIGITS"
    return json.dumps(root).replace(
        '"DIGITS"', rng.choice(("9" * 5000, "1e999", "-1e400", "1" * 40))
    )


def _twice(root: Any, path: tuple, rng: random.Random) -> str:
    """The key stands a second time, with another value."""
    value = json.dumps(rng.choice(STRANGE_VALUES))
    _holder(root, path)[path[-1]] = "TWICE"
    return json.dumps(root).replace('"TWICE"', f"0, {json.dumps(str(path[-1]))}: {value}", 1)


def _rename(root: Any, path: tuple, rng: random.Random) -> str:
    holder = _holder(root, path)
    if isinstance(holder, dict):
        holder[rng.choice(("", "x" * 10_000, "\ud800", f"{path[-1]}_"))] = holder.pop(path[-1])
    return json.dumps(root)


def _swap(root: Any, path: tuple, rng: random.Random) -> str:
    """Another value of the same file takes the place."""
    holder, key = rng.choice(list(_places(root)))
    _holder(root, path)[path[-1]] = copy.deepcopy(holder[key])
    return json.dumps(root)


_JSON_CHANGES = (_delete, _retype, _retype, _retype, _wrap, _nest, _digits, _twice, _rename, _swap)


def _places(value: Any):
    keys = (
        value.keys()
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else ()
    )
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _path(root: Any, holder: Any, key: Any) -> tuple:
    if root is holder:
        return (key,)
    items = (
        root.items()
        if isinstance(root, dict)
        else enumerate(root)
        if isinstance(root, list)
        else ()
    )
    for name, part in items:
        rest = _path(part, holder, key)
        if rest:
            return (name, *rest)
    return ()


def _holder(root: Any, path: tuple) -> Any:
    for key in path[:-1]:
        root = root[key]
    return root
