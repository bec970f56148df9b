"""The device mesh (`data`, `model`) and where each parameter, cache and batch lies on it."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import (
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
)

from vreason_jax.errors import UserError, shown
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime.names import parameters

AXES = ("data", "model")
LARGEST = 16  # devices that share one copy of a model
_MOST_WEIGHTS = 0.8  # of a device's memory: cache and programs need some too


def parse_mesh(text: str) -> dict[str, int]:
    """Returns the axis sizes of `data=1,model=4`; an axis left out has size 1."""
    sizes: dict[str, int] = {axis: 1 for axis in AXES}
    seen: set[str] = set()
    for part in text.split(","):
        axis, _, size = (piece.strip() for piece in part.partition("="))
        if axis not in AXES:
            raise UserError(
                f"--mesh {shown(text)}: unknown axis {shown(axis)}, expected data=N,model=M"
            )
        if not re.fullmatch("[1-9][0-9]{0,8}", size) or axis in seen:
            raise UserError(
                f"--mesh {shown(text)}: expected each axis once, with a number of 1 or more"
            )
        seen.add(axis)
        sizes[axis] = int(size)
    return sizes


def create_mesh(text: str | None, config: ModelConfig, *, many: bool = False) -> Mesh:
    """Returns the mesh of `--mesh`, or the default one, with axes (data, model).

    The default is that of `mesh_sizes`; for `many` questions a small model lies on each core of a
    CPU. Raises UserError for a mesh that the machine or the model does not allow.
    """
    devices = jax.devices()
    if text is None and many and devices[0].platform == "cpu" and _is_small(config):
        text = f"data={len(devices)}"
    sizes = mesh_sizes(
        text,
        len(devices),
        config,
        hosts=jax.process_count(),
        near=_near(devices, jax.local_devices()),
        room=(jax.local_devices()[0].memory_stats() or {}).get("bytes_limit"),
    )
    return Mesh(
        _ordered(devices, tuple(sizes[axis] for axis in AXES)),
        AXES,
        axis_types=(AxisType.Auto,) * len(AXES),
    )


def mesh_sizes(
    text: str | None,
    devices: int,
    config: ModelConfig,
    *,
    hosts: int = 1,
    near: int = LARGEST,
    room: float | None = None,
) -> dict[str, int]:
    """Returns the axis sizes of `--mesh`, or the default ones, where there are `devices` devices.

    Default: as many devices on `model` as there are query heads, or one for a small model, but no
    more than the `near` ones that a fast network joins, unless the weights need more where a device
    has `room` bytes. On several hosts every device must take part: the rest are `data`.
    Raises UserError for sizes that the devices do not allow.
    """
    sizes = (
        parse_mesh(text) if text is not None else _default_sizes(devices, config, hosts, near, room)
    )
    count, wanted = math.prod(sizes.values()), text or shown_sizes(sizes)
    if count > devices or (hosts > 1 and count != devices):
        most = "exactly" if hosts > 1 else "at most"
        raise UserError(
            f"--mesh {wanted}: needs {count} devices, expected {most} the {devices} there are"
        )
    if sizes["model"] > LARGEST:
        raise UserError(f"--mesh {wanted}: expected model=1 to {LARGEST}")
    return sizes


def shown_sizes(sizes: Mapping[str, int]) -> str:
    """Returns axis sizes as `--mesh` takes them."""
    return ",".join(f"{axis}={size}" for axis, size in sizes.items())


def idle_notice(mesh: Mesh) -> str | None:
    """Returns a line that says how many accelerators of this process compute nothing, or None."""
    here = jax.local_devices()
    idle = len(set(here) - set(mesh.devices.flat))
    if not idle or here[0].platform == "cpu":
        return None
    return f"{idle} of {len(here)} devices stay idle under --mesh {shown_sizes(mesh.shape)}"


def parameter_sharding(cut: int | None, shape: tuple[int, ...], mesh: Mesh | None) -> Sharding:
    """Returns where a parameter lies that is cut along the axis `cut` of its shape, if any.

    What `model` does not divide is whole on each device. No mesh is the first device alone.
    """
    if mesh is None:
        return SingleDeviceSharding(jax.local_devices()[0])
    if cut is None or shape[cut] % mesh.shape["model"]:
        return NamedSharding(mesh, PartitionSpec())
    axes = ("model" if axis == cut else None for axis in range(len(shape)))
    return NamedSharding(mesh, PartitionSpec(*axes))


def _default_sizes(
    devices: int, config: ModelConfig, hosts: int, near: int, room: float | None
) -> dict[str, int]:
    most = min(1 if _is_small(config) else config.text.heads, LARGEST, devices)
    whole = [n for n in range(1, most + 1) if hosts == 1 or devices % n == 0]
    least = 1 if room is None else _weight_bytes(config) / (_MOST_WEIGHTS * room)
    enough = [n for n in whole if n >= least]
    model = max([n for n in enough if n <= near] or enough[:1] or whole[-1:])
    return {"data": 1 if hosts == 1 else devices // model, "model": model}


def _weight_bytes(config: ModelConfig) -> int:
    itemsize = np.dtype(config.dtype).itemsize
    return sum(math.prod(p.shape) * (1 if p.int8 else itemsize) for p in parameters(config))


def _is_small(config: ModelConfig) -> bool:
    """Whether products of a few rows are too small to be shared among cores or devices."""
    return config.text.width * config.text.mlp_width <= 2**20


def _near(devices: Sequence[Any], local: Sequence[Any]) -> int:
    """Returns how many devices a fast network joins with this process's: a slice, or a machine.

    JAX counts each machine with GPUs as a slice, however many processes it runs.
    """
    if local[0].platform != "tpu" and getattr(local[0], "slice_index", None) is None:
        return len(local)
    return sum(_slice(device) == _slice(local[0]) for device in devices)


def _ordered(devices: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    """The devices in the mesh's shape, neighbours on a slice of TPUs side by side on `model`."""
    one_slice = len({_slice(device) for device in devices}) == 1
    if devices[0].platform == "tpu" and math.prod(shape) == len(devices) and one_slice:
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    ordered = sorted(devices, key=lambda device: (_slice(device), device.id))
    grid = np.empty(math.prod(shape), object)
    grid[:] = ordered[: grid.size]
    return grid.reshape(shape)


def _slice(device: Any) -> int:
    return getattr(device, "slice_index", None) or 0
