"""One training step, data-parallel over the devices."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vreason_jax.model.config import ModelConfig
from vreason_jax.model.windows import frame_plan
from vreason_jax.runtime.checkpoint import build_model
from vreason_jax.runtime.names import join_all
from vreason_jax.shapes.scene import HEIGHT, WIDTH
from vreason_jax.training.batches import Arrays
from vreason_jax.training.loss import Batch, reply_loss

Parameters = dict[str, jax.Array]  # a checkpoint's tensors by dotted path, float32


def data_mesh(rows: int) -> Mesh:
    """Returns devices on the axis `data`, as many as share so many rows evenly."""
    devices = np.asarray(jax.devices()[: math.gcd(rows, jax.device_count())])
    return Mesh(devices, ("data",), axis_types=(AxisType.Auto,))


def replicate(tree, mesh: Mesh):
    """Returns the arrays of a tree, replicated on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def place_batch(arrays: Arrays, mesh: Mesh) -> Batch:
    """Returns the batch with its rows spread over the devices."""
    return Batch(**jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("data"))))


def make_step(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh) -> Callable:
    """Returns step(parameters, optimizer state, batch) -> (parameters, state, loss), compiled.

    Donates parameters and state. The loss is the weighted mean over the batch's reply tokens.
    """
    patch = config.geometry.patch_pixels
    plan = frame_plan(HEIGHT // patch, WIDTH // patch, config.vision)

    def share(parameters, batch):
        total = jax.lax.psum(jnp.sum(batch.weights), "data")

        def loss_of(parameters):
            loss, _ = reply_loss(build_model(config, join_all(config, parameters)), batch, plan)
            return loss / total

        # As one vector: a sum for each parameter would wait for the other devices each time.
        vector, restore = ravel_pytree(jax.value_and_grad(loss_of)(parameters))
        return restore(jax.lax.psum(vector, "data"))

    replicated, by_row = PartitionSpec(), PartitionSpec("data")
    gradient = jax.shard_map(
        share, mesh=mesh, in_specs=(replicated, by_row), out_specs=replicated, check_vma=False
    )

    def step(parameters, state, batch):
        loss, gradients = gradient(parameters, batch)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, loss

    return jax.jit(step, donate_argnums=(0, 1))
