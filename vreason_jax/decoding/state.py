"""What reading a prompt hands to decoding, what decoding carries, and what it reports."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from vreason_jax.arrays import Array
from vreason_jax.config import RunConfig
from vreason_jax.controller.controller import ControllerState
from vreason_jax.controller.numbers import ControllerNumbers
from vreason_jax.decoding.placement import Placement, Target
from vreason_jax.decoding.placements import Nowhere, placement_of
from vreason_jax.decoding.sampling import SamplingNumbers
from vreason_jax.model.attention import Layout
from vreason_jax.model.cache import KVCache


@dataclasses.dataclass(frozen=True)
class DecodeSettings:
    """The static side of decoding: what a compiled program depends on beside shapes."""

    mesh: Mesh  # that the state lies on before and after
    placement: Placement  # where a delta acts
    norm: str = "vector"  # of the values with the delta (controller/value_delta.py)
    # Whether an update may compute the tail once more: for what is drawn after it, or where what is
    # seen is not what is trained. A branch for it, even one that is not taken,
    # makes XLA keep copies of the tail's weights: 120 MB a chip for the 7B on four.
    extra_tail: bool = False

    @classmethod
    def of(cls, config: RunConfig, mesh: Mesh, *, layers: int, steered: bool):
        """Returns the settings of a run on a decoder of so many layers.

        With nothing to be `steered` the controller is off.
        """
        controller = config.controller
        if not steered or controller.objective == "none":
            return cls(mesh, Nowhere())
        extra = controller.resample_after_update or controller.objective == "random_direction"
        placement = placement_of(controller, layers)
        norm = "none" if placement.additive else controller.norm
        return cls(mesh, placement, norm=norm, extra_tail=extra)

    @property
    def controlled(self) -> bool:
        """Whether a delta is trained at all."""
        return self.placement != Nowhere()


class DecodeContext(struct.PyTreeNode):
    """What stays the same for a whole answer."""

    layout: Layout
    last_position: Array  # [B] int32, rope position of the prompt's last token
    next_position: Array  # [B] int32, of the first generated one; the others count on from it
    seeds: Array  # [B, 2] uint32, (seed, hash of the question): the answer's PRNG key
    steered: Array  # [B] bool, rows that have a controller
    target: Target
    numbers: ControllerNumbers
    sampling: SamplingNumbers


class DecodeState(struct.PyTreeNode):
    """The scan's carry."""

    cache: KVCache
    controller: ControllerState  # leading axis B
    token: Array  # [B] int32, the token drawn last, which is fed next
    slot: Array  # int32, the cache slot that its keys and values go to
    step: Array  # int32, number t of the token that is drawn next
    seen: Array  # [B, V] bool, ids in prompt and answer


class TokenTrace(NamedTuple):
    """One token's entry in the trace, [B] each."""

    token: Array  # int32
    logprob: Array
    entropy: Array  # nats
    ema: Array
    peak: Array
    alpha: Array
    updated: Array  # bool
    grad_norm: Array  # before the clip, 0 without an update
    delta_norm: Array  # after the step
    value_norm: Array  # of the values that the delta is added to; 0 before the first step

    def packed(self) -> jax.Array:
        """Returns all of it in one array [fields, B] float32, which holds token ids exactly."""
        return jnp.stack([jnp.asarray(field, jnp.float32) for field in self])

    @classmethod
    def unpacked(cls, rows: jax.Array) -> "TokenTrace":
        """Returns the trace [steps, B] of `packed` rows [steps, fields, B]."""
        trace = cls(*jnp.moveaxis(rows, 1, 0))
        return trace._replace(token=trace.token.astype(jnp.int32), updated=trace.updated > 0)


def row_specs(tree: Any, mesh: Mesh | AbstractMesh, rows: int, *, heads: bool = True) -> Any:
    """Returns the partition of each array of a record of `rows` rows.

    Arrays [B, K, ...] are cut along the rows and the key/value heads, [B, V] and [B] along the
    rows, scalars lie whole. Rows that `data` does not divide lie whole too. Where `model` does not
    divide the heads, those of a trained delta, arrays are cut along the slots [B, K, M]. Without
    `heads` no second axis is one of heads.
    """
    # As JAX writes them on what a program returns: without axes of one device, and none at the end.
    data = "data" if mesh.shape["data"] > 1 and rows % mesh.shape["data"] == 0 else None
    model = mesh.shape.get("model", 1) if heads else 1

    def spec(array):
        if model > 1 and array.ndim > 2:
            for axis in (1, 2):
                if array.shape[axis] % model == 0:
                    return PartitionSpec(data, *(None,) * (axis - 1), "model")
        return PartitionSpec(data) if data and array.ndim else PartitionSpec()

    return jax.tree.map(spec, tree)


def row_shardings(tree: Any, mesh: Mesh, rows: int, *, heads: bool = True) -> Any:
    """Returns the NamedShardings of `row_specs`."""
    specs = row_specs(tree, mesh, rows, heads=heads)
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)


def placed_shapes(tree: Any, mesh: Mesh, rows: int, *, heads: bool = True) -> Any:
    """Returns the shapes of a record's arrays as `place` lays them."""
    return jax.tree.map(
        lambda a, sharding: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding),
        tree,
        row_shardings(tree, mesh, rows, heads=heads),
    )


def device_bytes(tree: Any, mesh: Mesh | AbstractMesh, rows: int) -> int:
    """Returns the bytes on each device of a record of `rows` rows, placed as `row_specs` says."""

    def one(leaf, spec: PartitionSpec) -> int:
        own = NamedSharding(mesh, spec).shard_shape(leaf.shape)
        return math.prod(own) * np.dtype(leaf.dtype).itemsize

    return sum(jax.tree.leaves(jax.tree.map(one, tree, row_specs(tree, mesh, rows))))


def place(tree: Any, mesh: Mesh, rows: int, *, heads: bool = True) -> Any:
    """Returns a record of NumPy arrays on the mesh, as `row_specs` says.

    On several hosts every process must pass the same arrays.
    """

    def put(array, sharding):
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(put, tree, row_shardings(tree, mesh, rows, heads=heads))


def to_host(tree):
    """Returns the tree's arrays in NumPy, gathered from all hosts where they are spread."""
    return jax.tree.map(_gather, tree)


def answer_keys(seeds: jax.Array) -> jax.Array:
    """Returns the PRNG keys [B] of answers with seeds [B, 2]."""
    return jax.vmap(lambda s: jax.random.fold_in(jax.random.key(s[0]), s[1]))(seeds)


def by_row(function, batch: int):
    """Returns `function`, written for one row, over a leading axis of `batch` rows.

    A batch of one is not vmapped, so that a lax.cond inside stays a branch.
    """
    if batch > 1:
        return jax.vmap(function)

    def single(*rows):
        one = function(*jax.tree.map(lambda a: a[0], rows))
        return jax.tree.map(lambda a: jnp.asarray(a)[None], one)

    return single


def _gather(array: jax.Array) -> np.ndarray:
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    # Over the array's own devices: other processes may be busy with other questions.
    sharding = array.sharding
    assert isinstance(sharding, NamedSharding)
    return np.asarray(_gathering(NamedSharding(sharding.mesh, PartitionSpec()))(array))


@functools.cache
def _gathering(sharding: NamedSharding):
    return jax.jit(lambda array: array, out_shardings=sharding)
