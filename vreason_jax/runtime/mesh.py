"""The device mesh (`data`, `model`) and where each parameter, cache and batch lies on it."""

import math
import re

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vreason_jax.errors import UserError, shown
from vreason_jax.model.config import ModelConfig

AXES = ("data", "model")

# Parameter path -> partition of its [out, in] weight or [out] bias; each path matches one row.
# Heads and MLP widths are cut, so a layer needs one sum over `model` after attention and one after
# the MLP. The vision tower is replicated: its widths (3420) have no useful divisors, and it is
# small beside the decoder.
_LAYER = r"decoder\.(?:body\.\d+|last)\."
_ROWS = (
    (r"decoder\.(embedding|head)", PartitionSpec("model", None)),  # rows of the vocabulary
    (r"decoder\.norm\.weight", PartitionSpec()),
    (_LAYER + r"(input_norm|post_norm)\.weight", PartitionSpec()),
    (_LAYER + r"attention\.[qkv]\.weight", PartitionSpec("model", None)),
    (_LAYER + r"attention\.[qkv]\.bias", PartitionSpec("model")),
    (_LAYER + r"attention\.o\.weight", PartitionSpec(None, "model")),
    (_LAYER + r"mlp\.(gate|up)\.weight", PartitionSpec("model", None)),
    (_LAYER + r"mlp\.down\.weight", PartitionSpec(None, "model")),
    (r"vision\.patch_embed\.weight", PartitionSpec()),
    (r"vision\.blocks\.\d+\.(norm1|norm2|qkv|proj|mlp\.(gate|up|down))\..*", PartitionSpec()),
    (r"vision\.merger\.(norm|fc1|fc2)\..*", PartitionSpec()),
)


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

    Default on one host: all devices on `model` where the model's widths divide, else one device;
    for `many` questions a small model lies on each core of a CPU.
    On several hosts every device must take part: as many on `model` as divide, the rest on `data`.
    Raises UserError for a mesh that the machine or the model does not allow.
    """
    devices = jax.devices()
    if text is not None:
        sizes = parse_mesh(text)
    elif many and devices[0].platform == "cpu" and _leaves_cores_idle(config):
        sizes = {"data": len(devices), "model": 1}
    else:
        sizes = _default_sizes(len(devices), config)
    count = math.prod(sizes.values())
    wanted = text or ",".join(f"{axis}={size}" for axis, size in sizes.items())
    if count > len(devices) or (jax.process_count() > 1 and count != len(devices)):
        most = "exactly" if jax.process_count() > 1 else "at most"
        raise UserError(
            f"--mesh {wanted}: needs {count} devices, expected {most} the {len(devices)} there are"
        )
    check_model_axis(sizes["model"], config)
    return Mesh(
        np.asarray(_ordered(devices, count, sizes)),
        AXES,
        axis_types=(AxisType.Auto,) * len(AXES),
    )


def allowed_model_axes(config: ModelConfig) -> list[int]:
    """Returns the sizes of `model` that divide the key/value heads, query heads and MLP width."""
    text = config.text
    common = math.gcd(text.kv_heads, text.heads, text.mlp_width)
    return [size for size in range(1, common + 1) if common % size == 0]


def check_model_axis(size: int, config: ModelConfig) -> None:
    """Raises UserError unless `size` devices can share each layer of the model evenly."""
    allowed = allowed_model_axes(config)
    if size not in allowed:
        text = config.text
        raise UserError(
            f"--mesh: model={size} does not divide the model's {text.kv_heads} key/value heads, "
            f"{text.heads} query heads and MLP width {text.mlp_width}; "
            f"expected one of {', '.join(map(str, allowed))}"
        )


def parameter_spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """Returns where the parameter at dotted `path` lies; vocabularies that do not divide: whole."""
    specs = [spec for row, spec in _ROWS if re.fullmatch(row, path)]
    if len(specs) != 1:
        raise ValueError(f"{path}: expected one row of the partition table, {len(specs)} match")
    if path in ("decoder.embedding", "decoder.head") and shape[0] % mesh.shape["model"]:
        return PartitionSpec()
    return specs[0]


def parameter_sharding(path: str, shape: tuple[int, ...], mesh: Mesh) -> NamedSharding:
    """Returns the NamedSharding of `parameter_spec`."""
    return NamedSharding(mesh, parameter_spec(path, shape, mesh))


def _default_sizes(devices: int, config: ModelConfig) -> dict[str, int]:
    allowed = allowed_model_axes(config)
    if jax.process_count() == 1:
        return {"data": 1, "model": devices if devices in allowed else 1}
    model = max(size for size in allowed if devices % size == 0)
    return {"data": devices // model, "model": model}


def _leaves_cores_idle(config: ModelConfig) -> bool:
    """Whether products of a few rows are too small to be shared among a CPU's cores."""
    return config.text.width * config.text.mlp_width <= 2**20


def _ordered(devices: list, count: int, sizes: dict[str, int]) -> np.ndarray:
    """The devices in the mesh's shape, neighbours on the machine side by side where JAX knows."""
    shape = tuple(sizes[axis] for axis in AXES)
    if count == len(devices):
        return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES)).devices
    return np.asarray(devices[:count]).reshape(shape)
