"""What is planned is what the real records and the real model are made of."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh

from vreason_jax.controller import controller
from vreason_jax.decoding.state import row_shardings
from vreason_jax.embedded import CHECKPOINT
from vreason_jax.families.qwen25_vl.published import SIZES
from vreason_jax.families.registry import published_config, read_model_config
from vreason_jax.model.cache import KVCache, LayerCache
from vreason_jax.planning.devices import Devices
from vreason_jax.planning.estimate import Load, estimate
from vreason_jax.runtime.mesh import AXES, create_mesh, parameter_sharding, weight_bytes
from vreason_jax.runtime.names import parameters
from vreason_jax.runtime.sharing import shared_config

LOAD = Load(video_tokens=6144, max_new_tokens=1024, rows=2)
SMALL = Load(video_tokens=64, max_new_tokens=32, rows=2)
NEEDS_8 = pytest.mark.skipif(
    jax.device_count() < 8, reason="needs 8 devices: tests/conftest.py fakes them on a CPU"
)


def embedded():
    return read_model_config(CHECKPOINT)


def plan_of(config, sizes, load):
    return estimate(config, Devices("v5e", 8), sizes, load)


def int8_of(config):
    return dataclasses.replace(config, text=dataclasses.replace(config.text, int8=True))


def largest(arrays) -> int:
    """Bytes on the device that holds most."""
    held = dict.fromkeys(jax.devices(), 0)
    for array in jax.tree.leaves(arrays):
        for shard in array.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return max(held.values())


@NEEDS_8
@pytest.mark.parametrize(("data", "model"), [(1, 1), (2, 4), (1, 8)])
def test_bytes_are_those_of_the_arrays_on_a_mesh(data, model):
    """Weights, cache and controllers that really lie on devices take what is planned."""
    config, sizes = embedded(), {"data": data, "model": model}
    mesh = create_mesh(f"data={data},model={model}", config)
    shared, rows = shared_config(config, model), SMALL.rows * data
    weights = [
        jax.device_put(
            np.zeros(each.shape, config.dtype), parameter_sharding(each.cut, each.shape, mesh)
        )
        for each in parameters(shared)
    ]
    text = shared.text
    layer = LayerCache.of(
        np.zeros, rows, text.kv_heads, SMALL.capacity, text.head_width, jnp.dtype(config.dtype)
    )
    cache = KVCache(body=(layer,) * (text.layers - 1), last=layer)
    steered = 128  # slots, of the 80 up to the clip's end
    one = controller.init(config.text.kv_heads, steered, text.head_width, text.kv_repeats)
    controllers = jax.tree.map(lambda a: np.stack([np.asarray(a)] * rows), one)
    cache, controllers = (
        jax.device_put(tree, row_shardings(tree, mesh, rows)) for tree in (cache, controllers)
    )
    plan = plan_of(config, sizes, SMALL)
    assert plan.weights == largest(weights)
    assert plan.cache == largest(cache)
    assert plan.controller == largest(controllers)


def test_published_sizes_have_as_many_parameters_as_published():
    counts = (3_754_622_976, 8_292_166_656, 33_452_718_336, 73_410_777_344)
    alone = AbstractMesh((1, 1), AXES)
    for size, count in zip(SIZES, counts, strict=True):
        assert sum(weight_bytes(published_config(size), alone).values()) == 2 * count


def test_int8_halves_the_body_and_leaves_the_last_layer_and_the_tower():
    config, sizes = published_config("7b"), {"data": 1, "model": 4}
    mesh = AbstractMesh((1, 4), AXES)
    shared = shared_config(config, 4)
    stored, int8 = weight_bytes(shared, mesh), weight_bytes(int8_of(shared), mesh)
    changed = {path for path in stored if stored[path] != int8[path]}
    assert len(changed) == 4 and all(path.startswith("decoder.body.") for path in changed)
    both, layers = "decoder.body.0.mlp.gate_up.weight", shared.text.layers - 1
    assert int8[both] == stored[both] // 2 + layers * 4 * 2 * shared.text.mlp_width // 4
    plans = [plan_of(each, sizes, LOAD) for each in (config, int8_of(config))]
    assert plans[1].tokens_per_second > 1.3 * plans[0].tokens_per_second


def test_a_batch_of_evaluate_waits_in_a_cache_of_its_own():
    config, sizes = published_config("7b"), {"data": 1, "model": 1}
    load = dataclasses.replace(LOAD, rows=32)
    one, more = (
        plan_of(config, sizes, each) for each in (load, dataclasses.replace(load, kept=True))
    )
    read = one.cache * load.first_capacity // load.capacity
    assert more.activations - one.activations == read > 0


def test_a_frame_goes_through_the_tower_whole():
    config, sizes = published_config("3b"), {"data": 1, "model": 1}
    small, large, larger = (
        plan_of(config, sizes, Load(16384, 1024, rows=1, frame_tokens=tokens)).activations
        for tokens in (256, 4096, 16384)
    )
    assert small < large < larger
    # What XLA takes for 16,384 patches on a v5e, with two blocks: 1,185 MB.
    assert large > 1185e6


@pytest.mark.parametrize("name", ["7b", "qwen2vl-2b", "qwen3vl-8b"])
def test_the_first_token_takes_the_products_of_its_familys_tower(name):
    config, sizes = published_config(name), {"data": 1, "model": 1}
    loads = [Load(tokens, 1024, rows=1) for tokens in (6144, 7168)]
    some, more = (plan_of(config, sizes, load) for load in loads)
    weights = {each.path: math.prod(each.shape) for each in parameters(config)}
    products = {
        path: size
        for path, size in weights.items()
        if path.endswith(".weight") and "norm" not in path
    }
    units = config.geometry.merge**2
    tower = sum(
        size * (units if "blocks" in path or "patch" in path else 1)
        for path, size in products.items()
        if path.startswith("vision.")
    )
    body = sum(size for path, size in products.items() if path.startswith("decoder.body."))
    per_token = 2 * (tower + body)
    took = (more.first_token_seconds - some.first_token_seconds) * 197e12 / 1024
    # Beside it stands the attention, whose work grows with the length.
    text = config.text
    both = sum(load.prompt for load in loads)
    attention = 2 * (text.layers - 1) * text.heads * text.head_width * both
    assert math.isclose(took, per_token + attention, rel_tol=0.01)


def test_the_cache_is_as_long_as_the_longest_answer_needs():
    assert LOAD.capacity == 8192
    more = dataclasses.replace(LOAD, max_new_tokens=4096)
    assert more.capacity >= more.prompt + 4096


def test_more_devices_hold_less_and_are_faster():
    config = published_config("32b")
    plans = [plan_of(config, {"data": 1, "model": n}, LOAD) for n in (4, 8, 16)]
    for some, more in itertools.pairwise(plans):
        assert more.weights < some.weights and more.cache <= some.cache
        assert more.tokens_per_second > 1.8 * some.tokens_per_second
        assert math.isclose(more.first_token_seconds, some.first_token_seconds / 2)


def test_what_fits_is_what_the_bounds_of_the_method_are_about():
    """The 7B's bound is its decoder's bytes by the bandwidth, and a few percent for V-Reason."""
    config = published_config("7b")
    plan = plan_of(config, {"data": 1, "model": 1}, Load(6144, 1024, 1))
    decoder = 2 * (8_292_166_656 - 676_550_144 - 152_064 * 3584)
    plain = 819e9 / decoder
    assert 0.9 * plain < plan.tokens_per_second < 0.97 * plain
