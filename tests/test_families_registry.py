"""A family is one record: one that the package has never heard of answers like any other."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import tiny_vocabulary
from flax import nnx

import vreason_jax
from vreason_jax.convert.safetensors_export import write_safetensors
from vreason_jax.errors import UserError
from vreason_jax.families import registry
from vreason_jax.families.family import Family
from vreason_jax.families.model import random_model
from vreason_jax.families.tensors import decoder_rows
from vreason_jax.geometry import Geometry
from vreason_jax.model.config import ModelConfig, TextConfig, VisionConfig
from vreason_jax.model.layers import Linear
from vreason_jax.model.tensors import Row
from vreason_jax.runtime.names import dotted, split_all

# Everything as no family of the package has it: three frames a patch, tokens of 3 x 3 patches of
# 4 pixels, a tower without attention.
CUT = Geometry(patch_pixels=4, merge=3, temporal_patch=3)


def read_toy(values):
    text = TextConfig(
        layers=2, width=32, mlp_width=48, heads=4, kv_heads=2, head_width=8,
        vocabulary=values["vocab_size"], norm_eps=1e-6, rope_theta=1e4, rope_axes=(0, 1, 2, 0),
        max_positions=4096, tied=True,
    )  # fmt: skip
    return ModelConfig("toy", VisionConfig(1, 8, 8, 1, 32, CUT), text, None, "float32")


class ToyTower(nnx.Module):
    """Each token is the product of its first patch."""

    def __init__(self, config, dtype):
        self.config = config
        self.first = Linear(config.out_width, CUT.patch_values, bias=False, dtype=dtype)

    def __call__(self, frames):
        pixels = jnp.reshape(frames.pixels, (-1, CUT.merge**2, CUT.patch_values))[:, 0]
        return self.first(pixels.astype(jnp.float32))[frames.slot_of_token]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A reasoner of the toy family."""
    rows = (
        *decoder_rows("model", qkv_bias=True, qk_norm=False),
        Row("vision.first.weight", "visual.first.weight"),
    )
    family = Family(name="toy", read=read_toy, tower=ToyTower, tensors=rows)
    monkeypatch.setitem(registry.FAMILIES, "toy", family)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "toy", "vocab_size": 320}))
    ids = {"eos_token_id": tiny_vocabulary.added_token_ids()["<|im_end|>"]}
    (tmp_path / "generation_config.json").write_text(json.dumps(ids))
    tiny_vocabulary.write_tokenizer(tmp_path)
    config = registry.read_model_config(tmp_path)
    state = nnx.to_flat_state(nnx.state(random_model(config, "float32")))
    parameters = {dotted(path): leaf[...] for path, leaf in state}
    write_safetensors(tmp_path, config, split_all(config, parameters))
    return vreason_jax.load(tmp_path, mesh="data=1", controller__every=2)


def test_a_family_from_outside_answers_under_v_reason(toy):
    frames = np.random.default_rng(0).integers(0, 256, (7, 40, 60, 3), np.uint8)
    limits = {"video__min_pixels": 1, "video__max_pixels": 3000, "sampling__max_new_tokens": 8}
    answer = toy.generate((frames, 6.0), "what happens?", **limits)
    (video,) = answer.trace["videos"]
    t, h, w = video["grid_thw"]
    assert (t, h % 3, w % 3) == (3, 0, 0), "seven frames in threes, sides of whole tokens"
    assert answer.trace["tokens"]["video"] == 3 * (h // 3) * (w // 3)
    assert any(answer.trace["updated"]) and max(answer.trace["grad_norm"]) > 0
    other = toy.generate((255 - frames, 6.0), "what happens?", **limits)
    assert not np.allclose(other.trace["logprob"], answer.trace["logprob"], atol=1e-5)


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"expected model_type 'qwen2_5_vl'.* got 'llava'"):
        registry.model_config_from_hf({"model_type": "llava"})


def test_published_models_are_read_by_their_own_family():
    names = registry.published_names()
    assert len(set(names)) == len(names) >= 4
    for name in names:
        config = registry.published_config(name)
        assert name in registry.family_of(config).published
