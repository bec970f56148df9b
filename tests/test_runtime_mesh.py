import itertools
import math
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P
from random_checkpoint import hf_config

from vreason_jax.decoding.state import place, row_specs
from vreason_jax.errors import UserError
from vreason_jax.families.registry import model_config_from_hf, published_config
from vreason_jax.runtime import mesh as mesh_lib
from vreason_jax.runtime import names, sharing

SMALL = model_config_from_hf(hf_config())  # 4 query heads, 2 key/value heads
NEEDS_8 = pytest.mark.skipif(
    jax.device_count() < 8, reason="needs 8 devices: tests/conftest.py fakes them on a CPU"
)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("data=1,model=4", {"data": 1, "model": 4}),
        (" model = 2 ", {"data": 1, "model": 2}),
        ("model=2,data=3", {"data": 3, "model": 2}),
    ],
)
def test_a_mesh_is_read_in_any_order(text, sizes):
    assert mesh_lib.parse_mesh(text) == sizes


@pytest.mark.parametrize(
    "text", ["", "model", "model=", "model=0", "model=-1", "model=x", "model=²", "model=2,model=2"]
)
def test_a_malformed_mesh_is_a_user_error(text):
    with pytest.raises(UserError, match="--mesh"):
        mesh_lib.parse_mesh(text)


def test_an_unknown_axis_is_named():
    with pytest.raises(UserError, match="unknown axis 'tensor'"):
        mesh_lib.parse_mesh("tensor=2")


def test_a_mesh_larger_than_the_machine_says_how_many_devices_there_are():
    count = jax.device_count()
    with pytest.raises(UserError, match=f"needs {2 * count} devices.*the {count} there are"):
        mesh_lib.create_mesh(f"data={2 * count}", SMALL)


def test_more_devices_than_share_a_model_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 32)
    with pytest.raises(UserError, match="model=32: expected model=1 to 16"):
        mesh_lib.create_mesh("model=32", SMALL)


@NEEDS_8
def test_the_default_is_as_many_devices_as_serve_the_model():
    for heads, devices in ((8, 8), (6, 6)):
        sizes = dict(num_attention_heads=heads, num_key_value_heads=2, head_dim=12)
        large = model_config_from_hf(hf_config(intermediate_size=2**16, **sizes))
        mesh = mesh_lib.create_mesh(None, large)
        assert dict(mesh.shape) == {"data": 1, "model": devices}
        assert set(mesh.axis_types) == {AxisType.Auto}
    assert dict(mesh_lib.create_mesh(None, SMALL).shape) == {"data": 1, "model": 1}


@pytest.mark.parametrize("model", ["3b", "7b", "qwen3vl-8b"])
def test_no_smaller_number_of_devices_holds_fewer_bytes_on_each_than_the_default(model):
    config = published_config(model)
    chosen = {n: mesh_lib.mesh_sizes(None, n, config)["model"] for n in range(1, 9)}
    for devices, axis in chosen.items():
        takes = [mesh_lib.device_weights(config, n) for n in range(1, devices + 1)]
        assert takes[axis - 1] == min(takes)
    assert chosen[8] == 8 and chosen[5] == 4  # 5 divide neither heads nor vocabulary


@NEEDS_8
def test_many_questions_are_answered_by_a_small_model_on_each_core():
    assert mesh_lib.create_mesh(None, SMALL, many=True).shape["data"] == jax.device_count()
    large = model_config_from_hf(hf_config(intermediate_size=2**16))
    assert mesh_lib.create_mesh(None, large, many=True).shape["data"] == 1
    assert mesh_lib.create_mesh("data=2", SMALL, many=True).shape["data"] == 2


@NEEDS_8
def test_a_mesh_smaller_than_the_machine_takes_the_first_devices():
    mesh = mesh_lib.create_mesh("data=2,model=2", SMALL)
    assert mesh.devices.tolist() == np.asarray(jax.devices()[:4]).reshape(2, 2).tolist()


@pytest.mark.parametrize(
    ("model", "devices", "hosts", "near", "room", "axis"),
    [
        ("7b", 16, 4, 16, 16e9, 16),
        ("7b", 16, 2, 8, 80e9, 8),
        ("72b", 16, 4, 4, 16e9, 16),  # 145 GB
        ("72b", 24, 3, 8, 32e9, 8),
        ("7b", 18, 9, 18, None, 9),  # what divides them
        ("3b", 32, 4, 32, 16e9, 16),  # as many as it has heads
    ],
)
def test_on_several_hosts_every_device_takes_part(model, devices, hosts, near, room, axis):
    config = published_config(model)
    sizes = mesh_lib.mesh_sizes(None, devices, config, hosts=hosts, near=near, room=room)
    assert sizes == {"data": devices // axis, "model": axis}


def test_a_mesh_that_leaves_devices_of_several_hosts_out_is_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 16)
    with pytest.raises(UserError, match="exactly the 16"):
        mesh_lib.create_mesh("model=2", SMALL)


@pytest.mark.parametrize("devices", range(1, mesh_lib.LARGEST + 1))
def test_every_parameter_of_a_shared_model_is_cut_where_its_row_says(devices):
    mesh = AbstractMesh((1, devices), mesh_lib.AXES)
    config = sharing.shared_config(SMALL, devices)
    for path, shape, axis, tensors, _ in names.parameters(config):
        spec = mesh_lib.parameter_sharding(axis, shape, mesh).spec
        cut = [n for axis, n in zip(spec, shape, strict=False) if axis]
        assert all(length % devices == 0 for length in cut), path
        assert len({tensor.row.unit is None for tensor in tensors}) == 1
        if path.startswith("vision."):
            even = math.gcd(devices, 16) == devices
            assert bool(cut) == any(length % devices == 0 for length in shape) or not even, path
            continue
        inside = re.search(r"(attention\.(qkv|o)|mlp\.(gate_up|down))\.", path)
        assert bool(cut) == bool(inside) or path in ("decoder.embedding", "decoder.head")


@pytest.mark.parametrize(
    ("path", "shape", "spec"),
    [
        ("decoder.embedding", (90, 48), P("model", None)),
        ("decoder.head", (91, 48), P()),  # does not divide: whole on each device
        ("decoder.last.attention.qkv.weight", (3, 4, 12, 48), P()),
        ("decoder.body.0.attention.qkv.weight", (2, 4, 12, 48), P("model", None, None, None)),
        ("decoder.last.attention.qkv.bias", (2, 4, 12), P("model", None, None)),
        ("decoder.last.attention.o.weight", (48, 48), P(None, "model")),
        ("decoder.body.1.mlp.gate_up.weight", (2, 72, 48), P(None, "model", None)),
        ("decoder.last.mlp.down.weight", (48, 72), P(None, "model")),
        ("decoder.body.1.post_norm.weight", (48,), P()),
        ("vision.blocks.0.mlp.gate_up.weight", (2, 33, 24), P(None, None, "model")),
    ],
)
def test_heads_mlp_widths_and_the_tower_are_cut_and_the_rest_is_whole(path, shape, spec):
    cut = next(each.cut for each in names.parameters(SMALL) if each.path == path)
    mesh = AbstractMesh((1, 2), mesh_lib.AXES)
    assert mesh_lib.parameter_sharding(cut, shape, mesh).spec == spec


@NEEDS_8
def test_rows_and_heads_are_cut_and_rows_that_do_not_divide_lie_whole():
    mesh = mesh_lib.create_mesh("data=2,model=2", SMALL)
    for rows, parts in ((4, 2), (1, 1)):
        record = {
            "keys": np.zeros((rows, 2, 5, 12)), "ids": np.zeros((rows, 7)), "step": np.int32(3),
        }  # fmt: skip
        placed = place(record, mesh, rows)
        shapes = {name: array.addressable_shards[0].data.shape for name, array in placed.items()}
        own = rows // parts
        assert shapes == {"keys": (own, 1, 5, 12), "ids": (own, 7), "step": ()}
        positions = place(np.zeros((rows, 3, 7)), mesh, rows, heads=False)
        assert positions.addressable_shards[0].data.shape == (own, 3, 7)
    alone = mesh_lib.create_mesh("data=1", SMALL)
    specs = row_specs({"keys": np.zeros((4, 2, 5, 12))}, alone, 4)
    assert specs == {"keys": P()}  # as JAX writes it on what a program returns


def test_idle_accelerators_are_said(monkeypatch):
    devices = [type("Device", (), {"platform": "tpu"})() for _ in range(8)]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    some, all_of_them = (
        SimpleNamespace(shape={"data": 1, "model": n}, devices=np.array(devices[:n]))
        for n in (6, 8)
    )
    assert mesh_lib.idle_notice(some) == "2 of 8 devices stay idle under --mesh data=1,model=6"
    assert mesh_lib.idle_notice(all_of_them) is None


def machines_of_gpus(count: int, each: int) -> list:
    devices = [(machine, number) for machine in range(count) for number in range(each)]
    return [
        SimpleNamespace(platform="gpu", id=each * m + n, slice_index=m, process_index=m)
        for m, n in devices
    ]


@pytest.mark.parametrize("shape", [(2, 8), (1, 16), (4, 4)])
def test_on_machines_with_gpus_a_model_lies_on_as_few_machines_as_it_can(shape):
    mesh = mesh_lib._ordered(machines_of_gpus(2, 8)[::-1], shape)
    assert [device.id for device in mesh.flat] == list(range(16))
    assert mesh.shape == shape


def test_gpus_of_one_machine_are_near_whichever_process_has_them():
    devices = machines_of_gpus(2, 8)
    assert mesh_lib._near(devices, devices[3:4]) == 8
    alone = [SimpleNamespace(platform="gpu", id=n, slice_index=None) for n in range(8)]
    assert mesh_lib._near(alone, alone) == 8


@pytest.mark.parametrize(
    ("kind", "torus", "shape"),
    [
        ("TPU v6 lite", (4, 8, 1), (2, 16)), ("TPU v6 lite", (8, 8, 1), (4, 16)),
        ("TPU v6 lite", (4, 4, 1), (2, 8)), ("TPU v6 lite", (4, 4, 1), (8, 2)),
        ("TPU v5p", (4, 4, 4), (8, 8)), ("TPU v5 lite", (4, 4, 1), (2, 8)),
    ],
)  # fmt: skip
def test_every_slice_of_tpus_takes_every_mesh_of_its_size(kind, torus, shape):
    devices = [
        SimpleNamespace(
            platform="tpu", device_kind=kind, id=number, coords=coords, core_on_chip=0,
            process_index=number // 4, slice_index=0,
        )
        for number, coords in enumerate(itertools.product(*map(range, torus)))
    ]  # fmt: skip
    mesh = mesh_lib._ordered(devices, shape)
    assert mesh.shape == shape and {device.id for device in mesh.flat} == set(range(len(devices)))
    assert mesh_lib._near(devices, devices[:4]) == len(devices)
