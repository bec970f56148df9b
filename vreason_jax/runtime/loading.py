"""Stored tensors onto devices: threads read ahead while the devices take what was read before."""

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np
from jax.sharding import Sharding
from tqdm import tqdm

from vreason_jax.runtime import tensor_files
from vreason_jax.runtime.int8 import quantised, scale_path, scale_sharding
from vreason_jax.runtime.sharing import FILLED, Share, take
from vreason_jax.runtime.tensor_files import StoredTensor

_THREADS = 4
_AHEAD = 2**28  # bytes that wait for the devices, beside the tensor that they take and the next
_Read = dict[str, dict[tuple, np.ndarray]]  # by path and index of rows, what was read
_QUIET_SECONDS = 2.0  # shorter loads show no bar


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A parameter [*out, in] or [*out] that stored tensors [rows, in] or [rows] make, and where."""

    stored: tuple[StoredTensor, ...]
    share: Share
    dtype: np.dtype
    sharding: Sharding

    @functools.cached_property
    def parts(self) -> dict[tuple, np.ndarray]:
        """By index of the parameter's rows, what rows this process needs of the tensors together.

        A cut through columns needs every row.
        """
        shape = self.share.shape
        rows = self.share.rows if self.share.rows is not None else np.arange(shape[0])
        rows = rows.reshape(shape[: self.outer])
        indices = self.sharding.addressable_devices_indices_map(shape).values()
        found = {_key(index[: self.outer]): index[: self.outer] for index in indices if index}
        return {key: rows[index] for key, index in found.items()} or {(): rows}

    @property
    def outer(self) -> int:
        """How many axes of the parameter are rows."""
        return len(self.share.shape) - len(self.stored[0].shape) + 1

    @functools.cached_property
    def nbytes(self) -> int:
        """Bytes that are read of the files."""
        first = self.stored[0]
        rows = sum(int(np.sum(part != FILLED)) for part in self.parts.values())
        return rows * math.prod(first.shape[1:]) * first.dtype.itemsize


def load(wanted: Sequence[Wanted]) -> Iterator[dict[str, jax.Array]]:
    """Yields each parameter by its path, and scales by theirs; no device has a byte read twice.

    Raises UserError for a file that was cut meanwhile.
    """
    rest = collections.deque(wanted)
    waiting: collections.deque[tuple[Wanted, Future[_Read]]] = collections.deque()
    ahead = 0
    with ThreadPoolExecutor(_THREADS) as pool, _bar(sum(one.nbytes for one in wanted)) as bar:
        while rest or waiting:
            while rest and (len(waiting) < 2 or ahead + rest[0].nbytes <= _AHEAD):
                ahead += rest[0].nbytes
                waiting.append((rest[0], pool.submit(_read, rest.popleft())))
            one, future = waiting.popleft()
            yield _on_devices(one, future.result())
            del future  # and with it what was read
            ahead -= one.nbytes
            bar.update(one.nbytes)


def _read(one: Wanted) -> _Read:
    parts = {key: _rows(one, rows) for key, rows in one.parts.items()}
    if not one.share.int8:
        return {one.share.path: parts}
    made = {key: quantised(parts.pop(key)) for key in list(parts)}
    paths = one.share.path, scale_path(one.share.path)
    return {path: {key: two[n] for key, two in made.items()} for n, path in enumerate(paths)}


def _rows(one: Wanted, wanted: np.ndarray) -> np.ndarray:
    """Rows [*out, in] of the tensors together, each run of them read to where it is wanted."""
    flat, inside = wanted.reshape(-1), one.stored[0].shape[1:]
    values = tensor_files.aligned_empty((len(flat), *inside), one.dtype)
    firsts = np.cumsum([0] + [tensor.shape[0] for tensor in one.stored])
    owners = np.searchsorted(firsts, flat, "right") - 1
    ends = np.flatnonzero((np.diff(flat) != 1) | (np.diff(owners) != 0)) + 1
    for begin, end in itertools.pairwise([0, *ends.tolist(), len(flat)]):
        if flat[begin] == FILLED:
            values[begin:end] = 0
        else:
            row = int(flat[begin] - firsts[owners[begin]])
            tensor_files.read_rows(one.stored[owners[begin]], row, values[begin:end])
    values = values.reshape(*wanted.shape, *inside)
    return values if one.share.columns is None else take(values, one.share.columns, -1, np)


def _on_devices(one: Wanted, read: _Read) -> dict[str, jax.Array]:
    shape, sharding, placed = one.share.shape, one.sharding, {}
    for path, parts in read.items():
        placed[path] = _placed(shape, sharding, one.outer, parts)
        shape, sharding = shape[:-1], scale_sharding(sharding)  # of the scales
    return placed


def _placed(shape, sharding: Sharding, outer: int, parts: dict[tuple, np.ndarray]) -> jax.Array:
    if len(sharding.device_set) == 1:
        # On a CPU the buffer, being aligned, becomes the array: nobody else holds it.
        (whole,) = parts.values()
        array = jax.device_put(whole, sharding, may_alias=True)
    else:

        def part(index: tuple[slice, ...] | None) -> np.ndarray:
            index = index or ()
            return parts[_key(index[:outer])][(..., *index[outer:])]

        array = jax.make_array_from_callback(shape, sharding, part)
    return array.block_until_ready()


def _key(index: tuple[slice, ...]) -> tuple:
    return tuple((part.start, part.stop) for part in index)


def _bar(total: int) -> tqdm:
    return tqdm(
        total=total,
        desc="weights",
        unit="B",
        unit_scale=True,
        delay=_QUIET_SECONDS,
        leave=False,
        disable=None if jax.process_index() == 0 else True,  # None: shown on terminals alone
    )
