"""Stored tensors onto devices: threads read ahead while the devices take what was read before."""

import collections
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np
from jax.sharding import Sharding
from tqdm import tqdm

from vreason_jax.runtime import tensor_files
from vreason_jax.runtime.tensor_files import StoredTensor

_THREADS = 4
_AHEAD = 2**28  # bytes that wait for the devices, beside the tensor that they take and the next
_QUIET_SECONDS = 2.0  # shorter loads show no bar


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A tensor, the dtype that it is wanted in, and where."""

    stored: StoredTensor
    dtype: np.dtype
    sharding: Sharding

    @functools.cached_property
    def rows(self) -> slice:
        """Those of the first axis that the devices of this process need, nothing between left out.

        A cut through columns needs every row.
        """
        shape = self.stored.shape
        indices = self.sharding.addressable_devices_indices_map(shape).values()
        if not shape:
            return slice(None)
        bounds = [index[0].indices(shape[0]) for index in indices if index is not None]
        return slice(min(begin for begin, _, _ in bounds), max(end for _, end, _ in bounds))

    @functools.cached_property
    def nbytes(self) -> int:
        """Bytes that are read of the file."""
        shape, rows = self.stored.shape, self.rows
        length = len(range(*rows.indices(shape[0]))) if shape else 1
        return length * int(np.prod(shape[1:])) * self.stored.dtype.itemsize


def load(wanted: Sequence[Wanted]) -> Iterator[jax.Array]:
    """Yields the tensors as arrays, in order; a process reads no byte twice.

    Raises UserError for a file that was cut meanwhile.
    """
    rest = collections.deque(wanted)
    waiting: collections.deque[tuple[Wanted, Future[np.ndarray]]] = collections.deque()
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


def _read(one: Wanted) -> np.ndarray:
    return tensor_files.read_tensor(one.stored, one.dtype, one.rows)


def _on_devices(one: Wanted, values: np.ndarray) -> jax.Array:
    if len(one.sharding.device_set) == 1:
        # On a CPU the buffer, being aligned, becomes the array: nobody else holds it.
        array = jax.device_put(values, one.sharding, may_alias=True)
    else:
        first = one.rows.start or 0

        def part(index: tuple[slice, ...] | None) -> np.ndarray:
            if not index:
                return values
            begin, end, _ = index[0].indices(one.stored.shape[0])
            return values[(slice(begin - first, end - first), *index[1:])]

        array = jax.make_array_from_callback(one.stored.shape, one.sharding, part)
    return array.block_until_ready()


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
