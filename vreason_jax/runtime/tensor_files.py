"""Safetensors files: headers through the safetensors library, tensor bytes by plain reads.

The library hands out tensors from a memory map whose pages count as resident until the file is
closed, on top of the arrays made from it: up to twice the checkpoint's size. Here the bytes of one
tensor are read into the very buffer that becomes the array.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from vreason_jax.errors import UserError, one_line, shown
from vreason_jax.json_files import parse_json
from vreason_jax.regular_files import check_regular, read_text

DTYPES = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
}
# Bytes of one number, also of dtypes in which some releases saved buffers.
_WIDTHS = {name: dtype.itemsize for name, dtype in DTYPES.items()}
_WIDTHS |= {"F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# Pickles that trainers leave beside weights.
_OF_TRAINING = ("training_args", "optimizer", "scheduler", "rng_state", "scaler")
_POINTER = b"version https://git-lfs"  # a file of a clone without Git LFS begins so
_ALIGNMENT = 64  # bytes; JAX on a CPU uses such a buffer as it is, and copies any other
_CHUNK = 2**24  # bytes read at a time where they must be cast on the way


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """Where one tensor's bytes lie."""

    file: Path
    name: str
    offset: int  # bytes from the start of the file
    shape: tuple[int, ...]
    dtype: np.dtype


Ignored = Callable[[str], bool]


def stored_tensors(folder: Path, ignored: Ignored = lambda name: False) -> list[StoredTensor]:
    """Returns the tensors of a folder's safetensors files, from their headers alone.

    Those with an `ignored` name are left out.
    Raises UserError for files that are missing, damaged, pickled or of a dtype no model here uses.
    """
    return [tensor for file in _weight_files(folder) for tensor in read_header(file, ignored)]


def read_header(file: Path, ignored: Ignored = lambda name: False) -> list[StoredTensor]:
    """Returns the tensors of one safetensors file, in the order of their bytes.

    The library checks the header: its length, that the tensors follow each other without gaps and
    that they end where the file does. So the shapes alone give every offset.
    """
    try:
        check_regular(file)
        with safe_open(file, framework="numpy") as handle:
            specs = [(name, handle.get_slice(name)) for name in handle.offset_keys()]
            specs = [(name, tuple(s.get_shape()), s.get_dtype()) for name, s in specs]
        with open(file, "rb") as stream:
            offset = 8 + int.from_bytes(stream.read(8), "little")
    except FileNotFoundError:
        raise UserError(f"{file}: expected a safetensors file, found none") from None
    except (SafetensorError, OSError, ValueError) as error:
        reason = f"it is truncated or damaged ({one_line(error)})"
        if _is_pointer(file):
            reason = "got a pointer of Git LFS: fetch the file itself (git lfs pull)"
        raise UserError(f"{file}: expected a whole safetensors file, {reason}") from None
    tensors = []
    for name, shape, dtype in specs:
        left_out = ignored(name)
        if dtype not in (_WIDTHS if left_out else DTYPES):
            raise UserError(
                f"{file}: expected tensors in BF16, F16 or F32, got {shown(name)} in {dtype}"
            )
        if not left_out:
            tensors.append(StoredTensor(file, name, offset, shape, DTYPES[dtype]))
        offset += math.prod(shape) * _WIDTHS[dtype]
    return tensors


def read_rows(tensor: StoredTensor, begin: int, rows: np.ndarray) -> None:
    """Fills `rows`, which lie one after the other, with those of the first axis from `begin` on.

    In their dtype; at most `_CHUNK` bytes are held beside them.
    """
    row_bytes = math.prod(tensor.shape[1:]) * tensor.dtype.itemsize
    with open(tensor.file, "rb", buffering=0) as stream:
        stream.seek(tensor.offset + begin * row_bytes)
        if rows.dtype == tensor.dtype:
            _read_exactly(stream, rows)
        else:
            _read_cast(stream, rows, tensor.dtype, row_bytes)


def read_chunks(tensor: StoredTensor) -> Iterator[np.ndarray]:
    """Yields a tensor's values in order, flat, some millions at a time, as many of any dtype."""
    left = math.prod(tensor.shape)
    with open(tensor.file, "rb", buffering=0) as stream:
        stream.seek(tensor.offset)
        while left:
            chunk = np.empty(min(left, _CHUNK // 4), tensor.dtype)
            _read_exactly(stream, chunk)
            yield chunk
            left -= chunk.size


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns an uninitialised array whose first byte has an address divisible by 64."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _is_pointer(file: Path) -> bool:
    with contextlib.suppress(OSError), file.open("rb") as stream:
        return stream.read(len(_POINTER)) == _POINTER
    return False


def _weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights: the single one, else those of the index, else all."""
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    if (folder / INDEX).exists():
        return [folder / name for name in _indexed_files(folder / INDEX)]
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return files
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    pickles = [name for name in pickles if not name.startswith(_OF_TRAINING)]
    if pickles:
        raise UserError(
            f"{folder}: expected safetensors weights, found pickled ones ({pickles[0]}), which can "
            "run code when read; convert them with transformers: save_pretrained"
        )
    raise UserError(f"{folder}: expected {SINGLE} or shards with {INDEX}, found no weights")


def _indexed_files(index: Path) -> list[str]:
    try:
        weight_map = parse_json(read_text(index))["weight_map"]
        files = sorted(set(weight_map.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{index}: expected JSON with a weight_map of tensors to files") from None
    for name in files:
        if not isinstance(name, str) or Path(name).name != name:
            raise UserError(f"{index}: expected names of files beside it, got {shown(name)}")
        try:
            check_regular(index.parent / name)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "which is missing" if missing else one_line(error.strerror or error)
            raise UserError(f"{index}: names the shard {shown(name)}, {reason}") from None
    if not files:
        raise UserError(f"{index}: its weight_map is empty")
    return files


def _read_cast(stream, result: np.ndarray, dtype: np.dtype, row_bytes: int) -> None:
    """Fills `result` with rows that are stored in `dtype`, a chunk of them at a time."""
    per_chunk = max(1, _CHUNK // max(1, row_bytes))
    for begin in range(0, len(result), per_chunk):
        target = result[begin : begin + per_chunk]
        stored = np.empty(target.shape, dtype)
        _read_exactly(stream, stored)
        target[...] = stored


def _read_exactly(stream, array: np.ndarray) -> None:
    view = array.reshape(-1).view(np.uint8).data
    while view:
        try:
            count = stream.readinto(view)
        except OSError as error:  # of a disk or a network, which names no file
            reason = one_line(error.strerror or error)
            raise UserError(f"{stream.name}: cannot be read: {reason}") from None
        if not count:
            raise UserError(f"{stream.name}: ends early, the file was cut while it was read")
        view = view[count:]
