"""What the text of a compiled program says of its kernels: how many there are, and where."""

import math
import re
from collections import Counter
from collections.abc import Iterator

# What writes nothing of its own, or only says where something lies, or waits for it.
_NO_KERNELS = {
    "parameter", "constant", "get-tuple-element", "tuple", "bitcast", "while", "conditional",
    "call", "partition-id", "after-all", "async-done", "copy-done", "all-reduce-done",
    "all-gather-done", "collective-permute-done",
}  # fmt: skip
_COLLECTIVES = "all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"
_HEAD = re.compile(r"(?:ENTRY )?%?([\w.-]+) .*->.*\{$")
_OPERATION = re.compile(r"\s+(?:ROOT )?%?[\w.-]+ = .+? ([a-z][\w-]*)\(")
_WRITTEN = re.compile(r"= \(?(\w+)\[([\d,]*)\]")
_CALLED = re.compile(r"(?:calls|body)=%?([\w.-]+)")
_SCOPE = re.compile(r'op_name="([^"]*)"')

Lines = list[tuple[str, str]]  # an operation's name and its whole line


def kernels(text: str) -> dict[str, int]:
    """Returns how many kernels a program launches for each token, by the part of the decoder.

    "body" are those of the body's layers, "last" those of the last one, "update" those that a token
    with an update has more. A program without a loop over tokens has no parts: all are "body" or
    "outside".
    """
    computations = _computations(text)
    bodies = [_CALLED.findall(line)[-1] for _, line in _all(computations, "while")]
    largest = max(bodies, key=lambda name: len(computations[name]), default=None)
    entry = list(computations)[-1]
    if largest is None or len(computations[largest]) < len(computations[entry]):
        return dict(_parts(computations, entry))
    found = _parts(computations, largest)
    for _, line in computations[largest]:
        if " while(" in line and "/tail/" in line:
            found["update"] = _parts(computations, _CALLED.findall(line)[-1]).total()
    return dict(found)


def collectives(text: str) -> dict[str, int]:
    """Returns how many collectives a program's text names, by the part of the decoder and kind."""
    computations, found = _computations(text), Counter[str]()
    for kind in _COLLECTIVES:
        for _, line in _all(computations, kind) + _all(computations, f"{kind}-start"):
            found[f"{_part(computations, line) or 'outside'} {kind}"] += 1
    return dict(found)


def large_writes(text: str, elements: int) -> dict[str, int]:
    """Returns how often a program's text writes arrays of `elements` numbers and more, by kind."""
    found = Counter[str]()
    for dtype, shape, operation in operations(text):
        if math.prod(shape) >= elements:
            found[f"{dtype}[{','.join(map(str, shape))}] by {operation}"] += 1
    return dict(found)


def operations(text: str) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yields dtype, shape and name of each operation of a program's text that writes memory.

    What is fused into another writes nothing.
    """
    computations = _computations(text)
    fused = {one for _, line in _all(computations, "fusion") for one in _CALLED.findall(line)}
    for name, lines in computations.items():
        for operation, line in lines if name not in fused else ():
            match = _WRITTEN.search(line)
            if match and operation not in _NO_KERNELS:
                yield match[1], tuple(int(size) for size in match[2].split(",") if size), operation


def _computations(text: str) -> dict[str, Lines]:
    found: dict[str, Lines] = {}
    lines: Lines = []
    for line in text.splitlines():
        if head := _HEAD.match(line):
            lines = found.setdefault(head[1], [])
        elif match := _OPERATION.match(line):
            lines.append((match[1], line))
    return found


def _all(computations: dict[str, Lines], name: str) -> Lines:
    return [one for lines in computations.values() for one in lines if one[0] == name]


def _parts(computations: dict[str, Lines], name: str) -> Counter[str]:
    found, part = Counter[str](), "outside"
    for operation, line in reversed(computations[name]):
        if operation not in _NO_KERNELS:
            part = _part(computations, line) or part  # what says nothing is of what comes after it
            found[part] += 1
    return found


def _part(computations: dict[str, Lines], line: str) -> str | None:
    """The part of the decoder that an operation belongs to; what is fused tells it of a fusion."""
    called = [one for name in _CALLED.findall(line) for one in computations.get(name, [])]
    inside = [line for operation, line in called if operation != "constant"]  # of any place
    scopes = [scope for one in [line, *inside[::-1]] for scope in _SCOPE.findall(one)]
    scope = next((scope for scope in scopes if "/" in scope), None)
    if scope is None:
        return None
    if "body_layer)" in scope or "read_layer)" in scope:  # but not of jvp(last_layer)
        return "body"
    return "last" if "last_layer" in scope else "outside"
