"""Tensors on their way to the devices: each byte is read once, whatever the mesh."""

import jax
import numpy as np
import pytest
from random_checkpoint import write_checkpoint

from vreason_jax.runtime import loading, tensor_files
from vreason_jax.runtime.checkpoint import load_arrays, load_model
from vreason_jax.runtime.mesh import create_mesh
from vreason_jax.runtime.sharing import Share


@pytest.fixture
def bytes_read(monkeypatch):
    """The sizes of all reads, as they come."""
    sizes, read = [], tensor_files._read_exactly

    def counted(stream, array):
        sizes.append(array.nbytes)
        read(stream, array)

    monkeypatch.setattr(tensor_files, "_read_exactly", counted)
    return sizes


@pytest.mark.skipif(
    jax.device_count() < 4, reason="needs four devices: tests/conftest.py fakes them on a CPU"
)
@pytest.mark.parametrize(("load", "dtype"), [(load_arrays, None), (load_model, "float32")])
@pytest.mark.parametrize("mesh", ["model=1", "data=2,model=2"])
def test_each_byte_is_read_once(tmp_path, bytes_read, mesh, load, dtype):
    config, tensors = write_checkpoint(tmp_path)
    load(tmp_path, config, dtype, create_mesh(mesh, config))
    assert sum(bytes_read) == sum(tensor.nbytes for tensor in tensors.values())


@pytest.mark.skipif(
    jax.device_count() < 4, reason="needs four devices: tests/conftest.py fakes them on a CPU"
)
def test_a_process_reads_the_rows_of_its_own_devices_alone(tmp_path):
    _, tensors = write_checkpoint(tmp_path)
    stored = next(t for t in tensor_files.stored_tensors(tmp_path) if t.name == "lm_head.weight")

    class Local:
        """The sharding as a process sees it that has the second and third of four devices."""

        def addressable_devices_indices_map(self, shape):
            quarter = shape[0] // 4
            rows = (slice(quarter, 2 * quarter), slice(2 * quarter, 3 * quarter))
            return {number: (row, slice(None)) for number, row in enumerate(rows)}

    share = Share("decoder.head", stored.shape, 0, ())
    wanted = loading.Wanted((stored,), share, stored.dtype, Local())  # pyright: ignore[reportArgumentType]
    rows, width = stored.shape
    assert wanted.nbytes == 2 * (rows // 4) * width * stored.dtype.itemsize
    own = np.concatenate(list(loading._read(wanted)["decoder.head"].values()))
    expected = tensors["lm_head.weight"][rows // 4 : 3 * (rows // 4)]
    np.testing.assert_array_equal(own, expected)


def test_no_more_than_a_part_lies_in_memory_before_the_devices_take_it(tmp_path, monkeypatch):
    config, tensors = write_checkpoint(tmp_path)
    monkeypatch.setattr(loading, "_AHEAD", 20_000)
    open_reads, most = [0], [0]
    read, put = loading._read, loading._on_devices

    def reading(one):
        open_reads[0] += one.nbytes
        most[0] = max(most[0], open_reads[0])
        return read(one)

    def putting(one, values):
        array = put(one, values)
        open_reads[0] -= one.nbytes
        return array

    monkeypatch.setattr(loading, "_read", reading)
    monkeypatch.setattr(loading, "_on_devices", putting)
    load_arrays(tmp_path, config, None)
    largest = max(tensor.nbytes for tensor in tensors.values())
    assert most[0] <= 20_000 + 2 * largest < sum(tensor.nbytes for tensor in tensors.values())
