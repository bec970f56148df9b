"""The device mesh (`data`, `model`), where each parameter lies on it, and what it takes there."""

import dataclasses
import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import (
    AbstractMesh,
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
)

from vreason_jax.errors import UserError, shown
from vreason_jax.model.config import ModelConfig
from vreason_jax.runtime.names import Parameter, parameters
from vreason_jax.runtime.sharing import shared_config

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

    Default: so many devices on `model` that the weights take the fewest bytes on each, or one for
    a small model; no more than there are query heads, and than the `near` ones that a fast network
    joins, unless the weights need more where a device has `room` bytes. On several hosts every
    device must take part: the rest are `data`.
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


def parameter_sharding(
    cut: int | None, shape: tuple[int, ...], mesh: Mesh | AbstractMesh | None
) -> Sharding:
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
    takes = {n: device_weights(config, n) if whole[1:] else 0 for n in whole}
    enough = [n for n in whole if room is None or takes[n] <= _MOST_WEIGHTS * room]
    # A number that does not divide the heads and the vocabulary may take more than a smaller one.
    model = min([n for n in enough if n <= near] or enough[:1] or whole, key=lambda n: takes[n])
    return {"data": 1 if hosts == 1 else devices // model, "model": model}


@functools.lru_cache(maxsize=256)
def device_weights(config: ModelConfig, devices: int) -> int:
    """Returns the bytes on each of `devices` devices that share a model's weights."""
    mesh = AbstractMesh((1, devices), AXES)
    return sum(weight_bytes(shared_config(config, devices), mesh).values())


def weight_bytes(shared: ModelConfig, mesh: AbstractMesh) -> dict[str, int]:
    """Returns the bytes on each device of each parameter, by dotted path.

    Layers of the body, and blocks of the tower, are alike: the first stands for them all. An int8
    weight has its scales with it.
    """
    found = {}
    itemsize = np.dtype(shared.dtype).itemsize
    for each in _one_of_each(shared):
        own = parameter_sharding(each.cut, each.shape, mesh).shard_shape(each.shape)
        one = math.prod(own) * itemsize
        if each.int8:
            one = math.prod(own) + 4 * math.prod(own[:-1])
        found[each.path] = one * _alike(each.path, shared)
    return found


def _one_of_each(shared: ModelConfig) -> tuple[Parameter, ...]:
    """The parameters of a model with one layer in its body and one block in its tower."""
    text = dataclasses.replace(shared.text, layers=2)
    vision = dataclasses.replace(shared.vision, depth=1)
    return parameters(dataclasses.replace(shared, text=text, vision=vision))


def _alike(path: str, shared: ModelConfig) -> int:
    if path.startswith("decoder.body."):
        return shared.text.layers - 1
    return shared.vision.depth if path.startswith("vision.blocks.") else 1


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
