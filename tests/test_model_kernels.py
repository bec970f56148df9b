"""Which kernels run where: by what a device is, and never by trying."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.model import kernels


def mesh_of(platform: str, capability: str | None = None) -> Any:
    facts = {} if capability is None else {"compute_capability": capability}
    device = types.SimpleNamespace(platform=platform, **facts)
    return types.SimpleNamespace(devices=np.array([[device]], object))


@pytest.mark.parametrize(
    ("mesh", "dtype", "reads", "steps"),
    [
        (mesh_of("cpu"), "bfloat16", False, False),
        (mesh_of("tpu"), "bfloat16", True, False),
        (mesh_of("tpu"), "float32", True, False),
        (mesh_of("tpu"), "float16", False, False),  # Mosaic has none
        (mesh_of("gpu", "9.0"), "bfloat16", True, True),
        (mesh_of("gpu", "8.0"), "float16", True, True),
        (mesh_of("gpu", "9.0"), "float32", False, False),
        (mesh_of("gpu", "7.5"), "bfloat16", False, False),  # Triton begins with 8.0
        (mesh_of("gpu", "gfx942"), "bfloat16", False, False),  # not NVIDIA's
        (mesh_of("gpu"), "bfloat16", False, False),
    ],
)
def test_a_kernel_runs_where_its_compiler_takes_it(mesh, dtype, reads, steps):
    query = jax.ShapeDtypeStruct((1, 2, 4, 256, 128), jnp.dtype(dtype))
    token = jax.ShapeDtypeStruct((1, 1, 64), jnp.dtype(dtype))
    assert kernels.read_pieces(mesh, query, 1024) is reads
    assert kernels.take_steps(mesh, token, 128) is steps


@pytest.mark.parametrize(
    ("length", "capacity", "width"), [(64, 1024, 128), (256, 768, 128), (256, 1024, 80)]
)
def test_shapes_that_a_gpu_kernel_does_not_divide_take_the_other_way(length, capacity, width):
    query = jax.ShapeDtypeStruct((1, 2, 4, length, width), jnp.bfloat16)
    assert not kernels.read_pieces(mesh_of("gpu", "9.0"), query, capacity)
