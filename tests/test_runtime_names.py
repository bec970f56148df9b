import dataclasses

import numpy as np
import pytest
from flax import nnx
from random_checkpoint import hf_config, random_tensors

from vreason_jax.families.model import abstract_model
from vreason_jax.families.qwen25_vl.tensors import TENSORS
from vreason_jax.families.registry import model_config_from_hf
from vreason_jax.model.tensors import find_rows
from vreason_jax.runtime import names

CONFIG = model_config_from_hf(hf_config())


@pytest.mark.parametrize(
    ("layers", "depth", "tied", "count"),
    [(36, 32, True, 824), (28, 32, False, 729), (64, 32, False, 1161), (80, 32, False, 1353)],
    ids=["3B", "7B", "32B", "72B"],
)
def test_published_sizes_have_as_many_tensors_as_their_files(layers, depth, tied, count):
    values = hf_config(num_hidden_layers=layers, tie_word_embeddings=tied)
    values["vision_config"]["depth"] = depth
    assert len(names.expected_tensors(model_config_from_hf(values))) == count


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("decoder.embedding", "model.embed_tokens.weight"),
        ("decoder.head", "lm_head.weight"),
        ("decoder.norm.weight", "model.norm.weight"),
        ("decoder.body.1.attention.k.bias", "model.layers.1.self_attn.k_proj.bias"),
        ("decoder.last.attention.o.weight", "model.layers.2.self_attn.o_proj.weight"),
        ("decoder.last.mlp.down.weight", "model.layers.2.mlp.down_proj.weight"),
        ("decoder.body.0.input_norm.weight", "model.layers.0.input_layernorm.weight"),
        ("decoder.last.post_norm.weight", "model.layers.2.post_attention_layernorm.weight"),
        ("vision.patch_embed.weight", "visual.patch_embed.proj.weight"),
        ("vision.blocks.1.qkv.bias", "visual.blocks.1.attn.qkv.bias"),
        ("vision.blocks.0.proj.weight", "visual.blocks.0.attn.proj.weight"),
        ("vision.blocks.0.norm2.weight", "visual.blocks.0.norm2.weight"),
        ("vision.blocks.1.mlp.gate.bias", "visual.blocks.1.mlp.gate_proj.bias"),
        ("vision.merger.norm.weight", "visual.merger.ln_q.weight"),
        ("vision.merger.fc1.bias", "visual.merger.mlp.0.bias"),
        ("vision.merger.fc2.weight", "visual.merger.mlp.2.weight"),
    ],
)
def test_a_parameter_has_the_name_of_the_hubs_files(path, name):
    assert names.expected_tensors(CONFIG)[name].path == path


def test_every_tensor_has_one_row_and_makes_one_parameter_and_no_row_is_idle():
    parameters = names.parameters(CONFIG)
    state = nnx.to_flat_state(nnx.state(abstract_model(CONFIG)))
    assert [each.path for each in parameters] == [names.dotted(path) for path, _ in state]
    tensors = [tensor for each in parameters for tensor in each.tensors]
    assert len({tensor.path for tensor in tensors}) == len(tensors)
    assert {tensor.name for tensor in tensors} == set(names.expected_tensors(CONFIG))
    assert {tensor.row for tensor in tensors} == set(TENSORS)
    assert len({row.path for row in TENSORS}) == len(TENSORS)


def test_what_is_joined_comes_apart_to_the_last_bit():
    tensors = random_tensors(CONFIG)
    expected = names.expected_tensors(CONFIG).values()
    arrays = {each.path: tensors[each.name].reshape(each.shape) for each in expected}
    joined = names.join_all(CONFIG, arrays)
    assert {path: array.shape for path, array in joined.items()} == {
        each.path: each.shape for each in names.parameters(CONFIG)
    }
    parts = names.split_all(CONFIG, {path: np.asarray(array) for path, array in joined.items()})
    assert parts.keys() == arrays.keys()
    assert all(parts[path].tobytes() == arrays[path].tobytes() for path in arrays)
    first = arrays["decoder.last.attention.q.weight"].reshape(2, 2, 12, 48)
    assert np.array_equal(joined["decoder.last.attention.qkv.weight"][:, :2], first)


def test_the_patch_embedding_is_a_convolution_in_files():
    tensor = names.expected_tensors(CONFIG)["visual.patch_embed.proj.weight"]
    assert tensor.shape == (24, 1176)
    assert tensor.stored_shape == (24, 3, 2, 14, 14)


def test_a_tied_model_has_no_head_tensor():
    tied = dataclasses.replace(CONFIG, text=dataclasses.replace(CONFIG.text, tied=True))
    assert "lm_head.weight" in names.expected_tensors(CONFIG)
    assert "lm_head.weight" not in names.expected_tensors(tied)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"),
        ("model.language_model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"),
        ("language_model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"),
        ("model.language_model.embed_tokens.weight", "model.embed_tokens.weight"),
        ("language_model.norm.weight", "model.norm.weight"),
        ("visual.merger.ln_q.weight", "visual.merger.ln_q.weight"),
        ("model.visual.merger.ln_q.weight", "visual.merger.ln_q.weight"),
        ("lm_head.weight", "lm_head.weight"),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", None),
        ("visual.rotary_pos_emb.inv_freq", "visual.rotary_pos_emb.inv_freq"),
    ],
)
def test_three_naming_schemes_come_to_one(name, canonical):
    assert names.canonical_name(name, CONFIG) == canonical


def test_a_path_outside_the_table_or_twice_in_it_is_an_error():
    path = "decoder.body.0.mlp.down.weight"
    for table, rows in ((TENSORS[:1], 0), (TENSORS + TENSORS, 2)):
        with pytest.raises(ValueError, match=rf"{path}: expected one row .* {rows} match"):
            find_rows(path, table)
