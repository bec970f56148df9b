"""config.json of every layout gives the same facts; what cannot run is a UserError."""

import copy
import json

import jax
import jax.numpy as jnp
import pytest

from vreason_jax.errors import UserError
from vreason_jax.families.model import abstract_model
from vreason_jax.families.registry import model_config_from_hf, read_model_config
from vreason_jax.runtime.names import expected_tensors

VISION = {
    "depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420,
    "num_heads": 16, "in_chans": 3, "out_hidden_size": 3584, "patch_size": 14,
    "spatial_merge_size": 2, "spatial_patch_size": 14, "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "temporal_patch_size": 2,
}  # fmt: skip
TEXT = {
    "hidden_act": "silu", "hidden_size": 3584, "intermediate_size": 18944,
    "max_position_embeddings": 128000, "num_attention_heads": 28, "num_hidden_layers": 28,
    "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "use_sliding_window": False,
    "vocab_size": 152064,
}  # fmt: skip
IDS = {
    "vision_start_token_id": 151652, "vision_end_token_id": 151653,
    "image_token_id": 151655, "video_token_id": 151656,
}  # fmt: skip
SECTION = [16, 24, 24]


def flat():
    """The 7B model as the Hub has it."""
    return copy.deepcopy({
        "model_type": "qwen2_5_vl", **TEXT, **IDS, "vision_config": VISION,
        "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": SECTION},
        "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    })  # fmt: skip


def mixed():
    """The same as transformers 4.52 to 4.57 save it: at the root and nested, some ids null."""
    nested = {
        **TEXT, "model_type": "qwen2_5_vl_text", "rope_theta": 1e6, "video_token_id": None,
        "rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": SECTION},
    }  # fmt: skip
    vision = {**VISION, "in_channels": 3, "model_type": "qwen2_5_vl"}
    return {**flat(), "text_config": nested, "vision_config": vision}


def nested():
    """The same as transformers 5 saves it."""
    rope = {"rope_type": "default", "type": "mrope", "rope_theta": 1e6, "mrope_section": SECTION}
    text = {**TEXT, "rope_parameters": rope, "layer_types": ["full_attention"] * 28}
    vision = {k: v for k, v in VISION.items() if k != "in_chans"}
    vision |= {"in_channels": 3, "rope_parameters": {"rope_type": "axial", "rope_theta": 1e4}}
    return {
        "model_type": "qwen2_5_vl", "text_config": text, "vision_config": vision, **IDS,
        "dtype": "bfloat16", "tie_word_embeddings": False,
    }  # fmt: skip


def test_the_facts_of_the_7b_model():
    config = model_config_from_hf(flat())
    text, vision = config.text, config.vision
    assert (text.layers, text.width, text.heads, text.kv_heads) == (28, 3584, 28, 4)
    assert (text.head_width, text.mlp_width, text.vocabulary) == (128, 18944, 152064)
    assert (text.norm_eps, text.rope_theta) == (1e-6, 1e6)
    assert text.rope_axes == (0,) * 16 + (1,) * 24 + (2,) * 24
    assert (vision.depth, vision.head_width, config.geometry.patch_values) == (32, 80, 1176)
    assert (vision.window_units, vision.full_attention_blocks) == (4, (7, 15, 23, 31))
    assert (config.tokens_per_second, text.max_positions) == (2.0, 128000)
    assert (config.dtype, text.tied) == ("bfloat16", False)


@pytest.mark.parametrize("layout", [mixed, nested])
def test_every_layout_gives_the_same_facts(layout):
    assert model_config_from_hf(layout()) == model_config_from_hf(flat())


def test_the_7b_model_has_its_published_size_and_tensors():
    leaves = jax.tree.leaves(abstract_model(model_config_from_hf(flat()), jnp.bfloat16))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves), "nothing is allocated"
    assert sum(leaf.size for leaf in leaves) == 8_292_166_656
    assert len(expected_tensors(model_config_from_hf(flat()))) == 729


def test_a_tied_head_is_no_parameter_of_its_own():
    tied = model_config_from_hf({**flat(), "tie_word_embeddings": True})
    leaves = jax.tree.leaves(abstract_model(tied, jnp.bfloat16))
    assert len(expected_tensors(tied)) == 728
    assert sum(leaf.size for leaf in leaves) == 8_292_166_656 - 152064 * 3584


@pytest.mark.parametrize(("root", "inner"), [(True, False), (None, True), (True, None)])
def test_the_head_is_tied_if_the_root_or_the_text_says_so(root, inner):
    values = nested()
    values["tie_word_embeddings"], values["text_config"]["tie_word_embeddings"] = root, inner
    assert model_config_from_hf(values).text.tied


def test_what_files_leave_out_has_the_values_of_the_librarys_classes():
    """transformers 4.49 saves no more of the 7B's vision tower than this."""
    values = flat()
    values["vision_config"] = {"hidden_size": 1280, "in_chans": 3, "tokens_per_second": 2}
    del values["rope_theta"], values["rope_scaling"], values["use_sliding_window"]
    assert model_config_from_hf(values) == model_config_from_hf(flat())
    values["vision_config"] = dict.fromkeys(VISION)
    del values["max_position_embeddings"]
    found = model_config_from_hf(values)
    assert (found.vision.width, found.tokens_per_second) == (3584, 4.0)
    assert found.text.max_positions == 32768


@pytest.mark.parametrize(
    "key",
    ["hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
     "num_hidden_layers", "vocab_size", "rms_norm_eps"],
)  # fmt: skip
def test_a_missing_text_key_is_named(key):
    values = flat()
    del values[key]
    with pytest.raises(UserError, match=f"expected the key {key}, which is missing"):
        model_config_from_hf(values)


@pytest.mark.parametrize(
    "harmless",
    [
        {"use_sliding_window": True, "sliding_window": 32768, "max_window_layers": 28},
        {"use_sliding_window": True, "sliding_window": None, "max_window_layers": 0},
        {"use_sliding_window": True, "sliding_window": 128000, "max_window_layers": 0},
        {"use_sliding_window": False, "sliding_window": 8, "max_window_layers": 0},
        {"layer_types": ["full_attention"] * 28, "sliding_window": 8},
    ],
)
def test_a_window_that_no_layer_uses_is_no_matter(harmless):
    assert model_config_from_hf({**flat(), **harmless}) == model_config_from_hf(flat())


@pytest.mark.parametrize("ids", [None, "x", [1]])
def test_token_ids_are_the_tokenizers_matter(ids):
    """Nothing here reads them; old saves hold nulls."""
    values = {**flat(), "video_token_id": ids, "image_token_id": ids}
    assert model_config_from_hf(values) == model_config_from_hf(flat())


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ({"torch_dtype": "float16"}, "float16"),
        ({"torch_dtype": "torch.float32"}, "float32"),
        ({"dtype": "float16", "torch_dtype": "float32"}, "float16"),
        ({"text_config": {"dtype": "float16"}}, "float16"),
        ({"torch_dtype": None}, "bfloat16"),
    ],
)
def test_the_dtype_is_found_where_any_release_writes_it(dtypes, expected):
    values = flat()
    del values["torch_dtype"]
    assert model_config_from_hf({**values, **dtypes}).dtype == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2_vl_x"}, "expected model_type 'qwen2_5_vl' .* got 'qwen2_vl_x'"),
        ({"model_type": "qwen2_vl"}, "expected vision hidden_act 'quick_gelu', got 'silu'"),
        ({"model_type": None}, "got None"),
        ({"quantization_config": {"quant_method": "awq"}}, "expected unquantised .* of 'awq'"),
        ({"quantization_config": {"bits": 4}}, "expected unquantised .*'bits': 4"),
        ({"tie_word_embeddings": "false"}, "tie_word_embeddings to be true or false, got 'false'"),
        ({"use_sliding_window": True, "max_window_layers": 27}, "expected full attention in ev"),
        ({"layer_types": ["full_attention", "chunked_attention"]}, "got 'chunked_attention'"),
        ({"layer_types": ["sliding_attention"]}, "got 'sliding_attention'"),
        ({"torch_dtype": "auto"}, "expected a dtype of float32, .* got 'auto'"),
        ({"torch_dtype": ["float32"]}, "expected a dtype of"),
        ({"dtype": "int8"}, "got 'int8'"),
        ({"hidden_act": "gelu"}, "expected hidden_act 'silu', got 'gelu'"),
        ({"rope_scaling": {"type": "yarn", "factor": 4}}, "expected rope type .* got 'yarn'"),
        ({"rope_scaling": {"type": "mrope", "mrope_section": [8, 8, 8]}}, "does not sum to half"),
        ({"rope_scaling": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 1, got 0.5"),
        ({"num_key_value_heads": 3}, "28 query heads are no multiple of 3"),
        ({"num_key_value_heads": 0}, "num_key_value_heads"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"hidden_size": "wide"}, "hidden_size to be 1, 2, ..., got 'wide'"),
        ({"hidden_size": True}, "hidden_size to be 1, 2, ..., got True"),
        ({"hidden_size": 2**63}, "hidden_size to be 1, 2, ..., got 9223372036854775808"),
        ({"rms_norm_eps": -1e-6}, "rms_norm_eps to be a number above 0, got -1e-06"),
        ({"rms_norm_eps": float("-inf")}, "rms_norm_eps to be a number above 0, got -inf"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps to be a number above 0, got nan"),
        ({"hidden_size": -8}, "hidden_size"),
        ({"rope_scaling": [1]}, "rope_scaling"),
        ({"text_config": "text"}, "text_config"),
        ({"vision_config": [1, 2]}, "vision_config"),
    ],
)
def test_what_cannot_run_is_told_in_one_line(change, message):
    with pytest.raises(UserError, match=message) as caught:
        model_config_from_hf({**flat(), **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [None, [], "qwen", 3])
def test_json_that_is_no_object_is_a_user_error(values):
    with pytest.raises(UserError, match="expected model_type"):
        model_config_from_hf(values)


def test_the_file_is_named_in_the_message(tmp_path):
    with pytest.raises(UserError, match=r"a config\.json, found none"):
        read_model_config(tmp_path)
    path = tmp_path / "config.json"
    path.write_text('{"model_type": ')
    with pytest.raises(UserError, match=r"config\.json: not valid JSON"):
        read_model_config(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"config\.json: not valid JSON"):
        read_model_config(tmp_path)
    path.write_text(json.dumps({**flat(), "model_type": "llava"}))
    with pytest.raises(UserError, match=r"config\.json: expected model_type .* 'llava'"):
        read_model_config(tmp_path)
    path.write_text(json.dumps(flat()))
    assert read_model_config(tmp_path) == model_config_from_hf(flat())
