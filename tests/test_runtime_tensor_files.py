import errno
import json
import os
import struct

import numpy as np
import pytest
from random_checkpoint import BFLOAT16, save_tensors

from vreason_jax.errors import UserError
from vreason_jax.runtime import tensor_files

RNG = np.random.default_rng(1)
TENSORS = {
    "a": RNG.standard_normal((7, 5)).astype(BFLOAT16),
    "b": RNG.standard_normal((4, 3, 2)).astype(np.float32),
    "c": RNG.standard_normal(11).astype(np.float16),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_tensors(path, TENSORS)
    return path


def stored(file):
    return {tensor.name: tensor for tensor in tensor_files.read_header(file)}


def read(tensor, dtype, rows=slice(None)):
    begin, end, _ = rows.indices(tensor.shape[0])
    values = tensor_files.aligned_empty((end - begin, *tensor.shape[1:]), dtype)
    tensor_files.read_rows(tensor, begin, values)
    return values


def raw_file(path, header: bytes, data: bytes = b"", length: int | None = None):
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_comes_back_bit_for_bit_in_an_aligned_buffer(file, name):
    array = read(stored(file)[name], TENSORS[name].dtype)
    assert array.dtype == TENSORS[name].dtype
    assert array.tobytes() == TENSORS[name].tobytes()
    assert array.shape == TENSORS[name].shape
    assert array.size == 0 or array.ctypes.data % 64 == 0


def test_some_rows_are_what_indexing_the_whole_gives(file):
    for rows in (slice(2, 5), slice(None), slice(6, 7)):
        array = read(stored(file)["a"], BFLOAT16, rows)
        assert array.tobytes() == TENSORS["a"][rows].tobytes()


def test_a_cast_rounds_as_numpy_does_across_chunks(file, monkeypatch):
    monkeypatch.setattr(tensor_files, "_CHUNK", 24)  # bytes: one row of b
    array = read(stored(file)["b"], BFLOAT16)
    assert array.tobytes() == TENSORS["b"].astype(BFLOAT16).tobytes()
    chunks = list(tensor_files.read_chunks(stored(file)["b"]))
    assert len(chunks) == 4
    assert np.array_equal(np.concatenate(chunks), TENSORS["b"].reshape(-1))


def header(**tensor) -> bytes:
    fields = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **tensor}
    return json.dumps({"x": fields}).encode()


@pytest.mark.parametrize(
    ("content", "data", "length"),
    [
        (header(), b"\0" * 7, None),  # truncated data
        (header(), b"\0" * 9, None),  # more bytes than tensors
        (header()[:-5], b"", None),  # not JSON
        (b"[]", b"", None),
        (header(), b"\0" * 8, 10**6),  # header said to be longer than the file
        (header(), b"\0" * 8, 2**63),
        (header(data_offsets=[0, 4]), b"\0" * 4, None),  # fewer bytes than the shape needs
        (header(data_offsets=[8, 16]), b"\0" * 16, None),  # a gap
        (header(data_offsets=[8, 0]), b"\0" * 8, None),
        (header(shape=[-2]), b"\0" * 8, None),
        (header(shape=[2**62, 4]), b"\0" * 8, None),  # size overflows 64 bits
        (header(dtype="Q9"), b"\0" * 8, None),
    ],
)
def test_a_damaged_file_is_a_user_error_of_one_line(tmp_path, content, data, length):
    path = raw_file(tmp_path / "model.safetensors", content, data, length)
    with pytest.raises(UserError, match=r"model\.safetensors") as caught:
        tensor_files.read_header(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 4, 8])
def test_a_file_cut_in_its_header_is_a_user_error(tmp_path, size):
    (tmp_path / "model.safetensors").write_bytes(b"\x20\0\0\0\0\0\0\0"[:size])
    with pytest.raises(UserError, match="truncated or damaged"):
        tensor_files.stored_tensors(tmp_path)


def test_overlapping_tensors_are_refused(tmp_path):
    fields = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    path = raw_file(
        tmp_path / "model.safetensors", json.dumps({"x": fields, "y": fields}).encode(), b"\0" * 8
    )
    with pytest.raises(UserError, match="truncated or damaged"):
        tensor_files.read_header(path)


@pytest.mark.parametrize(("dtype", "size"), [("I8", 2), ("F8_E4M3", 2), ("F64", 16), ("U16", 4)])
def test_a_dtype_no_model_here_uses_is_named(tmp_path, dtype, size):
    content = header(dtype=dtype, data_offsets=[0, size])
    path = raw_file(tmp_path / "model.safetensors", content, b"\0" * size)
    with pytest.raises(UserError, match=rf"BF16, F16 or F32, got 'x' in {dtype}"):
        tensor_files.read_header(path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.pth"])
def test_pickled_weights_are_refused_unread(tmp_path, name):
    (tmp_path / name).write_bytes(b"never opened")
    with pytest.raises(UserError, match="pickled"):
        tensor_files.stored_tensors(tmp_path)


def test_a_folder_without_weights_says_what_was_expected(tmp_path):
    with pytest.raises(UserError, match=r"expected model\.safetensors"):
        tensor_files.stored_tensors(tmp_path)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ('{"weight_map": {"x": "model-1.safetensors"}}', "which is missing"),
        ('{"weight_map": {"x": "../model.safetensors"}}', "names of files beside it"),
        ('{"weight_map": {"x": 3}}', "names of files beside it"),
        ('{"weight_map": {}}', "empty"),
        ('{"weight_map": [1]}', "expected JSON"),
        ("[]", "expected JSON"),
        ("{", "expected JSON"),
    ],
)
def test_a_wrong_index_is_a_user_error(tmp_path, index, reason):
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(UserError, match=reason):
        tensor_files.stored_tensors(tmp_path)


def test_a_disk_that_fails_is_a_user_error_with_the_file(file, monkeypatch):
    tensor = stored(file)["a"]

    class Failing:
        name = str(file)

        def readinto(self, view):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(UserError, match=f"{file.name}: cannot be read: Input/output error"):
        tensor_files._read_exactly(Failing(), np.empty(4, tensor.dtype))


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n"
    )
    with pytest.raises(UserError, match="git lfs pull"):
        tensor_files.stored_tensors(tmp_path)


def test_what_a_trainer_leaves_is_not_taken_for_weights(tmp_path):
    for name in ("training_args.bin", "optimizer.pt", "rng_state_0.pth"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="found no weights"):
        tensor_files.stored_tensors(tmp_path)


def test_a_file_cut_after_its_header_was_read_is_a_user_error(file):
    tensor = stored(file)["b"]
    with open(file, "r+b") as stream:
        stream.truncate(tensor.offset + 10)
    with pytest.raises(UserError, match="ends early"):
        read(tensor, tensor.dtype)
