"""Which kernels run where. Pallas is imported with the first of them, as it takes 0.3 s."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

_QUERIES, _SLOTS = 128, 512  # that `flash_attention` takes at a time
_NARROWEST = 16  # of heads that a tensor core takes
_AMPERE = 8  # compute capability


def read_pieces(mesh: Mesh, query: jax.Array, capacity: int) -> bool:
    """Whether `flash_attention` takes queries [B, K, G, T, H] over so many slots on the mesh."""
    length, width = query.shape[3:]
    if length % _QUERIES or capacity % _SLOTS:
        return False
    # Mosaic has no float16.
    takes = _first(mesh).platform == "tpu" and query.dtype != jnp.float16
    return takes or _on_tensor_cores(mesh, query, width)


def take_steps(mesh: Mesh, x: jax.Array, head_width: int) -> bool:
    """Whether `step_kernels` take x [B, 1, D] on the mesh."""
    return _on_tensor_cores(mesh, x, head_width)


def _on_tensor_cores(mesh: Mesh, x: jax.Array, width: int) -> bool:
    # Triton takes powers of two, and would multiply float32 exactly without tensor cores.
    fits = width.bit_count() == 1 and width >= _NARROWEST and x.dtype.itemsize == 2
    return fits and _first(mesh).platform == "gpu" and _is_ampere(_first(mesh))


def _is_ampere(device: Any) -> bool:
    """Whether a GPU is NVIDIA's of 2020 or later: Triton compiles for no earlier one."""
    major, _, minor = getattr(device, "compute_capability", "").partition(".")
    return major.isdigit() and minor.isdigit() and int(major) >= _AMPERE


def _first(mesh: Mesh) -> Any:
    return mesh.devices.flat[0]
