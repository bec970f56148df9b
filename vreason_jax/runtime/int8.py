"""int8 weights: a byte for each number and a float32 scale for each row, symmetric about zero.

A row's largest number becomes 127 or -127. They are made of one tensor at a time as it is read.
"""

import functools
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from vreason_jax.runtime.tensor_files import aligned_empty

_LARGEST = 127
_TINY = 1e-30  # rows of smaller numbers count as zero: the reciprocal of their scale may overflow
_AT_ONCE = 2**22  # numbers that are widened at a time


def scale_path(path: str) -> str:
    """Returns the path of the scales beside a weight's."""
    return path.removesuffix("weight") + "scale"


def scale_sharding(sharding: Sharding) -> Sharding:
    """Returns where scales [*out] lie beside their weight [*out, in]."""
    if not isinstance(sharding, NamedSharding):
        return sharding
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:-1]))


def quantised(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a weight [*out, in] as int8, and the scales [*out] that multiply its rows."""
    rows = weight.reshape(-1, weight.shape[-1])
    values = aligned_empty(weight.shape, np.dtype(np.int8))
    scales = aligned_empty(weight.shape[:-1], np.dtype(np.float32))
    step = max(1, _AT_ONCE // rows.shape[1])
    for begin in range(0, len(rows), step):
        part = slice(begin, begin + step)
        whole, scale = _quantised(rows[part], np)
        values.reshape(rows.shape)[part], scales.reshape(-1)[part] = whole, scale
    return values, scales


@functools.partial(jax.jit, static_argnames="sharding")
def quantised_on_devices(weight: jax.Array, sharding: Sharding) -> tuple[jax.Array, jax.Array]:
    """Returns what `quantised` does of an array that lies on devices as `sharding` says."""
    values, scales = _quantised(weight, jnp)
    constrain = jax.lax.with_sharding_constraint
    return constrain(values, sharding), constrain(scales, scale_sharding(sharding))


def _quantised(weight: Any, numpy: ModuleType) -> tuple[Any, Any]:
    wide = weight.astype(np.float32)
    largest = numpy.max(numpy.abs(wide), axis=-1, keepdims=True)
    # Products with reciprocals: XLA makes them of divisions, and NumPy must give the same bits.
    scale = numpy.where(largest < _TINY, 1, largest) * np.float32(1 / _LARGEST)
    # A row with NaN or infinity in it has such a scale, and so shows in what it makes.
    with np.errstate(invalid="ignore"):
        return numpy.rint(wide * (np.float32(1) / scale)).astype(np.int8), scale[..., 0]
