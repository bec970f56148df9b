"""Which kernels run where. Pallas is imported with the first of them, as it takes 0.3 s."""

import jax
from jax.sharding import Mesh

_QUERIES, _SLOTS = 128, 512  # that `flash_attention` takes at a time
_NARROWEST = 16  # of heads that a tensor core takes


def read_pieces(mesh: Mesh, query: jax.Array, capacity: int) -> bool:
    """Whether `flash_attention` takes queries [B, K, G, T, H] over so many slots on the mesh."""
    length, width = query.shape[3:]
    if length % _QUERIES or capacity % _SLOTS:
        return False
    return _platform(mesh) == "tpu" or _on_tensor_cores(mesh, query, width)


def take_steps(mesh: Mesh, x: jax.Array, head_width: int) -> bool:
    """Whether `step_kernels` take x [B, 1, D] on the mesh."""
    return _on_tensor_cores(mesh, x, head_width)


def _on_tensor_cores(mesh: Mesh, x: jax.Array, width: int) -> bool:
    # Triton takes powers of two, and would multiply float32 exactly without tensor cores.
    fits = width.bit_count() == 1 and width >= _NARROWEST and x.dtype.itemsize == 2
    return fits and _platform(mesh) == "gpu"


def _platform(mesh: Mesh) -> str:
    return mesh.devices.flat[0].platform
