"""More devices than key/value heads: the model is another one, its answers are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from answer_checks import assert_same_answers
from small_model import config_of
from tiny import write_tiny_checkpoint

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.engine.engine import Engine
from vreason_jax.questions import as_question

NEEDS_8 = pytest.mark.skipif(
    jax.device_count() < 8, reason="needs 8 devices: tests/conftest.py fakes them on a CPU"
)
CLIP = np.random.default_rng(1).integers(0, 256, (6, 56, 28, 3), np.uint8), 2.0
LIVELY = {
    "controller__ema_decay": 0.5,
    "controller__learning_rate": 0.1,
    "sampling__max_new_tokens": 20,
}
# What looks at single heads: the trained delta, pruning by each head's own, chance.
RUNS = {
    "max": {"prune__fraction": 0.5, "prune__policy": "random", "sampling__temperature": 1.0},
    "random_direction": {"prune__fraction": 0.3, "controller__norm": "tensor"},
}


def engine_of(folder, mesh) -> Engine:
    return Engine.load(Checkpoint.open(folder), config_of().model, mesh)


def answers(engine, objective):
    run = config_of(controller__objective=objective, **LIVELY, **RUNS[objective])
    question = engine.checkpoint.prepare(as_question(CLIP, "Why?"), run)
    return engine.answer(engine.read([question], 20), run)


def folder_of(path, kv_heads, queries):
    heads = kv_heads * queries
    text = {
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "hidden_size": 16 * heads,
        "intermediate_size": 60,
        "num_hidden_layers": 2,
    }
    vision = {"out_hidden_size": 16 * heads, "depth": 1, "fullatt_block_indexes": [0]}
    return write_tiny_checkpoint(path, text=text, vision=vision)


# 7 query heads dealt to two devices, and devices that have four heads of twelve each.
@NEEDS_8
@pytest.mark.parametrize(
    ("kv_heads", "queries", "devices", "objective"),
    [(2, 7, 4, "random_direction"), (4, 2, 3, "max")],
)
def test_more_devices_than_heads_give_the_same_answers(
    tmp_path, kv_heads, queries, devices, objective
):
    folder = folder_of(tmp_path, kv_heads, queries)
    engines = [engine_of(folder, f"model={n}") for n in (1, devices)]
    alone, shared = (answers(engine, objective) for engine in engines)
    assert_same_answers(shared, alone)
    assert max(alone[0].tokens.delta_norm) > 0
    text = engines[1].model.config.text
    assert text.kv_heads == kv_heads * text.kv_repeats and text.kv_heads % devices == 0


@NEEDS_8
def test_each_device_holds_its_share(tmp_path):
    engine = engine_of(folder_of(tmp_path, 2, 7), "model=8")
    text = engine.model.config.text
    assert (text.kv_heads, text.heads, text.mlp_width, text.kv_repeats) == (8, 16, 64, 4)
    layer = engine.model.decoder.last
    for weight, own in (
        (layer.attention.qkv.weight, (1, 2 + 2, 16)),
        (layer.mlp.gate_up.weight, (2, 8)),
    ):
        shards = weight[...].addressable_shards
        assert {shard.data.shape[:-1] for shard in shards} == {own}


@NEEDS_8
def test_filled_heads_and_neurons_are_zeros_and_the_others_the_files_own(tmp_path):
    folder = folder_of(tmp_path, 2, 7)
    alone, shared = (engine_of(folder, f"model={n}").model.decoder.last for n in (1, 4))
    stored, dealt = (np.asarray(part.attention.qkv.weight[...]) for part in (alone, shared))
    queries = dealt[:, :4].reshape(2, 8, 16, -1)
    np.testing.assert_array_equal(queries[:, :7], stored[:, :7])
    assert not queries[:, 7].any()
    np.testing.assert_array_equal(dealt[:, 4:], np.repeat(stored[:, 7:], 2, axis=0))
    output = np.asarray(shared.attention.o.weight[...]).reshape(-1, 2, 8, 16)
    assert not output[:, :, 7].any() and jnp.any(output[:, :, 6])
    gate_up, own = (np.asarray(part.mlp.gate_up.weight[...]) for part in (shared, alone))
    width = own.shape[1]
    np.testing.assert_array_equal(gate_up[:, :width], own)
    assert not gate_up[:, width:].any()
