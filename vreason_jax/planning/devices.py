"""The accelerators that can be planned for, as their vendors describe them."""

import dataclasses
import re
from collections.abc import Iterator

from vreason_jax.errors import UserError, nearest, shown

# Slices by their number of chips. Google's own names of v4 and v5p count two cores a chip instead.
_FLAT = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16",
         256: "16x16"}  # fmt: skip
_CUBES = {4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4"}
_ONE_MACHINE = {count: "" for count in range(1, 9)}


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of accelerator: bytes of memory, bytes a second, bfloat16 operations a second."""

    memory: float
    bandwidth: float
    rate: float
    per_host: int  # devices
    slices: dict[int, str]  # devices -> topology, or "" where there is none to choose

    @property
    def is_tpu(self) -> bool:
        """Whether it is a TPU."""
        return self.slices is not _ONE_MACHINE


# Sources: docs.cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}, and NVIDIA's data sheets of the A100
# 80GB SXM, H100 SXM and H200 SXM (without sparsity). Their GB are taken for 10^9 bytes.
KINDS = {
    "v4": Kind(32e9, 1200e9, 275e12, 4, _CUBES),
    "v5e": Kind(16e9, 819e9, 197e12, 8, _FLAT),
    "v5p": Kind(95e9, 2765e9, 459e12, 4, _CUBES),
    "v6e": Kind(32e9, 1638e9, 918e12, 8, _FLAT),
    "a100": Kind(80e9, 2039e9, 312e12, 8, _ONE_MACHINE),
    "h100": Kind(80e9, 3350e9, 989e12, 8, _ONE_MACHINE),
    "h200": Kind(141e9, 4800e9, 989e12, 8, _ONE_MACHINE),
}

_ALIASES = {"v5litepod": "v5e"}


@dataclasses.dataclass(frozen=True)
class Devices:
    """So many devices of one kind."""

    name: str  # of the kind
    count: int

    @property
    def kind(self) -> Kind:
        """What each of them is."""
        return KINDS[self.name]

    @property
    def hosts(self) -> int:
        """How many machines they are in."""
        return -(-self.count // self.kind.per_host)

    @property
    def topology(self) -> str:
        """The slice as JAX names it, `v5e:2x4`; empty for GPUs."""
        return f"{self.name}:{self.kind.slices[self.count]}" if self.kind.is_tpu else ""

    def larger(self) -> Iterator["Devices"]:
        """Yields the larger slices of the kind, the smallest first."""
        more = (count for count in self.kind.slices if count > self.count)
        return (Devices(self.name, count) for count in more)

    def __str__(self) -> str:
        return f"{self.name}{'-' if self.kind.is_tpu else ':'}{self.count}"


def parse_devices(text: str) -> Devices:
    """Returns the devices of `v5e-8`, `v5e:2x4` or `h100:8`; a kind alone is its smallest slice.

    Google names a v5e `v5litepod` as well. Raises UserError for a kind or a size that there is not.
    """
    match = re.fullmatch(
        r"(\w+?)(?:[-:](\d{1,4}|\d+x\d+(?:x\d+)?))?", text.strip().lower(), re.ASCII
    )
    name, size = match.groups() if match else (text, None)
    name = _ALIASES.get(name, name)
    if name not in KINDS:
        raise UserError(
            f"--device {shown(text)}: expected one of {', '.join(KINDS)} and a number of devices, "
            f"such as v5e-8 or h100:1{nearest(name, KINDS)}"
        )
    slices = KINDS[name].slices
    by_topology = {topology: count for count, topology in slices.items()}
    count = by_topology.get(size or "") if "x" in (size or "") else int(size or min(slices))
    if count not in slices:
        known = ", ".join(str(Devices(name, count)) for count in slices)
        raise UserError(f"--device {shown(text)}: expected one of {known}")
    return Devices(name, count)
