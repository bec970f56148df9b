"""Copies of the model: the devices and processes of each, and their lockstep."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_NUMBERS = 1024


@dataclasses.dataclass(frozen=True)
class Replicas:
    """The rows of a mesh on which this process computes.

    A row of the mesh's `data` axis is a copy of the model. Processes that share a row run in
    lockstep on a mesh of their own, and never wait for other processes.
    """

    mesh: Mesh  # (data, model): the rows of this group of processes
    group: int  # number of this group
    groups: int
    processes: tuple[int, ...]  # of this group

    @classmethod
    def of(cls, mesh: Mesh) -> "Replicas":
        """Returns this process's part of a mesh over the devices of all processes."""
        rows = [{device.process_index for device in row} for row in mesh.devices]
        groups = _connected(rows)
        mine = jax.process_index()
        number = next(n for n, processes in enumerate(groups) if mine in processes)
        chosen = [row <= groups[number] for row in rows]
        part = Mesh(mesh.devices[np.array(chosen)], mesh.axis_names, axis_types=mesh.axis_types)
        return cls(part, number, len(groups), tuple(sorted(groups[number])))

    @property
    def is_first(self) -> bool:
        """Whether this process writes the results of its group."""
        return jax.process_index() == self.processes[0]

    def largest(self, values: np.ndarray) -> np.ndarray:
        """Returns the largest of the group's processes' numbers, each by itself, in step."""
        if len(self.processes) == 1 or not len(values):
            return values
        # Few lengths, as each is a program.
        mine = np.zeros(-(-len(values) // _NUMBERS) * _NUMBERS, np.int32)
        mine[: len(values)] = values
        shape = (*self.mesh.devices.shape, len(mine))
        mine = np.broadcast_to(mine, shape)
        spread = NamedSharding(self.mesh, PartitionSpec(*self.mesh.axis_names))
        array = jax.make_array_from_callback(shape, spread, lambda index: mine[index])
        whole = NamedSharding(self.mesh, PartitionSpec())
        everyone = jax.jit(jnp.max, static_argnums=1, out_shardings=whole)(array, (0, 1))
        return np.asarray(everyone)[: len(values)].astype(values.dtype)


def _connected(rows: list[set[int]]) -> list[set[int]]:
    """Returns the sets of processes that share rows, directly or through others, in row order."""
    groups: list[set[int]] = []
    for row in rows:
        touching = [group for group in groups if group & row]
        merged = set(row).union(*touching)
        at = groups.index(touching[0]) if touching else len(groups)
        groups = [group for group in groups if group not in touching]
        groups.insert(at, merged)
    return groups
