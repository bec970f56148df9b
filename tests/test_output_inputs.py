import os

import numpy as np
import pytest

from vreason_jax.output.inputs import dump_inputs


@pytest.mark.parametrize("name", ["inputs.npz", "inputs", "inputs.bin"])
def test_arrays_come_back_bit_for_bit_from_exactly_that_path(tmp_path, name):
    rng = np.random.default_rng(0)
    arrays = {
        "input_ids": np.arange(9, dtype=np.int32)[None],
        "pixel_values_videos": rng.normal(size=(8, 1176)).astype(np.float32),
        "frames": rng.integers(0, 256, (4, 28, 28, 3), np.uint8),
        "next_position": np.int32(12),
    }
    dump_inputs(tmp_path / name, arrays)
    assert os.listdir(tmp_path) == [name]
    with np.load(tmp_path / name) as file:
        assert set(file) == set(arrays)
        for key, array in arrays.items():
            assert file[key].dtype == array.dtype
            np.testing.assert_array_equal(file[key], array)


def test_array_that_would_be_pickled_is_refused(tmp_path):
    with pytest.raises(ValueError, match="frames is an array of objects"):
        dump_inputs(tmp_path / "x.npz", {"frames": np.array([None])})
    assert os.listdir(tmp_path) == []
