import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from random_checkpoint import hf_config

from vreason_jax.decoding.state import place, row_specs
from vreason_jax.errors import UserError
from vreason_jax.model.config import model_config_from_hf
from vreason_jax.runtime import mesh as mesh_lib
from vreason_jax.runtime import names

SMALL = model_config_from_hf(hf_config())  # 4 query heads, 2 key/value heads
WIDE = model_config_from_hf(
    hf_config(num_attention_heads=8, num_key_value_heads=8, head_dim=12, vocab_size=91)
)  # MLP width 72: eight devices divide all but the vocabulary
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


def test_a_model_axis_that_does_not_divide_the_heads_says_what_does():
    with pytest.raises(UserError, match=r"2 key/value heads.*expected one of 1, 2$"):
        mesh_lib.check_model_axis(4, SMALL)
    assert mesh_lib.allowed_model_axes(WIDE) == [1, 2, 4, 8]


@NEEDS_8
def test_the_default_is_all_devices_where_the_model_allows_else_one():
    all_devices = mesh_lib.create_mesh(None, WIDE)
    assert dict(all_devices.shape) == {"data": 1, "model": jax.device_count()}
    assert set(all_devices.axis_types) == {AxisType.Auto}
    assert dict(mesh_lib.create_mesh(None, SMALL).shape) == {"data": 1, "model": 1}


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


def test_on_several_hosts_every_device_takes_part(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    assert mesh_lib._default_sizes(16, SMALL) == {"data": 8, "model": 2}
    monkeypatch.setattr(jax, "devices", lambda: [None] * 16)
    with pytest.raises(UserError, match="exactly the 16"):
        mesh_lib.create_mesh("model=2", SMALL)


@pytest.mark.parametrize("config", [SMALL, WIDE])
def test_every_parameter_matches_one_row_and_divides(config):
    mesh = SimpleNamespace(shape={"data": 1, "model": mesh_lib.allowed_model_axes(config)[-1]})
    for tensor in names.expected_tensors(config).values():
        spec = mesh_lib.parameter_spec(tensor.path, tensor.shape, mesh)
        assert len(spec) <= len(tensor.shape)
        for axis, length in zip(spec, tensor.shape, strict=False):
            assert axis is None or length % mesh.shape[axis] == 0, tensor.path


@pytest.mark.parametrize(
    ("path", "shape", "spec"),
    [
        ("decoder.embedding", (90, 48), P("model", None)),
        ("decoder.head", (91, 48), P()),  # does not divide: whole on each device
        ("decoder.body.0.attention.q.weight", (48, 48), P("model", None)),
        ("decoder.last.attention.v.bias", (24,), P("model")),
        ("decoder.last.attention.o.weight", (48, 48), P(None, "model")),
        ("decoder.body.1.mlp.up.weight", (72, 48), P("model", None)),
        ("decoder.last.mlp.down.weight", (48, 72), P(None, "model")),
        ("decoder.body.1.post_norm.weight", (48,), P()),
        ("vision.blocks.0.mlp.gate.weight", (33, 24), P()),
    ],
)
def test_heads_and_mlp_widths_are_cut_and_the_rest_is_whole(path, shape, spec):
    mesh = SimpleNamespace(shape={"data": 1, "model": 2})
    assert mesh_lib.parameter_spec(path, shape, mesh) == spec


def test_a_parameter_outside_the_table_is_an_error():
    mesh = SimpleNamespace(shape={"data": 1, "model": 2})
    with pytest.raises(ValueError, match="expected one row"):
        mesh_lib.parameter_spec("decoder.last.mlp.extra.weight", (2, 2), mesh)


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


def test_tied_or_not_makes_no_difference_to_what_divides():
    tied = dataclasses.replace(SMALL, text=dataclasses.replace(SMALL.text, tied=True))
    assert mesh_lib.allowed_model_axes(tied) == mesh_lib.allowed_model_axes(SMALL)
