"""The tiny checkpoint: the same weights in every form, and forms that transformers reads."""

import filecmp
import json

import jinja2
import numpy as np
import pytest
import tiny
import tiny_vocabulary
from safetensors.numpy import load_file

LAYERS, VISION_BLOCKS = 4, 4


def load_tensors(folder):
    return {
        name: value
        for file in sorted(folder.glob("*.safetensors"))
        for name, value in load_file(file).items()
    }


def hub_name(name):
    base = name.removeprefix("model.").removeprefix("language_model.")
    return base if base.startswith(("visual.", "lm_head.")) else f"model.{base}"


def test_two_writes_from_one_seed_are_the_same_files(tmp_path):
    first = tiny.write_tiny_checkpoint(tmp_path / "a", seed=3, shards=2)
    second = tiny.write_tiny_checkpoint(tmp_path / "b", seed=3, shards=2)
    names = sorted(file.name for file in first.iterdir())
    assert names == sorted(file.name for file in second.iterdir())
    assert filecmp.cmpfiles(first, second, names, shallow=False) == (names, [], [])


def test_another_seed_gives_other_weights(tmp_path):
    first = load_tensors(tiny.write_tiny_checkpoint(tmp_path / "a", seed=0))
    second = load_tensors(tiny.write_tiny_checkpoint(tmp_path / "b", seed=1))
    assert not any(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "nested", "naming": "new", "shards": 3},
        {"layout": "mixed", "tied": True},
        {"naming": "base", "tied": True},
    ],
)
def test_every_form_holds_the_same_weights(tmp_path, options):
    plain = load_tensors(tiny.write_tiny_checkpoint(tmp_path / "plain"))
    if options.get("tied"):
        del plain["lm_head.weight"]
    other = load_tensors(tiny.write_tiny_checkpoint(tmp_path / "other", **options))
    assert {hub_name(name) for name in other} == set(plain)
    for name, value in other.items():
        np.testing.assert_array_equal(value, plain[hub_name(name)])


def test_names_of_the_three_namings(tmp_path):
    inside = "layers.0.self_attn.q_proj.weight"
    expected = {
        "hub": (f"model.{inside}", "visual.merger.ln_q.weight"),
        "new": (f"model.language_model.{inside}", "model.visual.merger.ln_q.weight"),
        "base": (f"language_model.{inside}", "visual.merger.ln_q.weight"),
    }
    for naming, names in expected.items():
        folder = tiny.write_tiny_checkpoint(tmp_path / naming, naming=naming, tied=True)
        assert set(names) <= set(load_tensors(folder))


def test_a_base_model_save_without_a_tie_is_refused(tmp_path):
    with pytest.raises(ValueError, match="tied=True"):
        tiny.write_tiny_checkpoint(tmp_path, naming="base")


def test_tensor_count_and_shapes_follow_the_published_pattern(tmp_path):
    tensors = load_tensors(tiny.write_tiny_checkpoint(tmp_path))
    # 12 tensors in a layer and in a block; patch embedding and merger have 6, the text ends 3.
    assert len(tensors) == 12 * LAYERS + 12 * VISION_BLOCKS + 6 + 3
    assert tensors["model.layers.0.self_attn.k_proj.weight"].shape == (2 * 16, 96)
    assert tensors["visual.patch_embed.proj.weight"].shape == (48, 3, 2, 14, 14)
    assert tensors["visual.blocks.3.attn.qkv.bias"].shape == (3 * 48,)
    assert tensors["visual.merger.mlp.2.weight"].shape == (96, 4 * 48)


def test_no_parameter_is_trivial(tmp_path):
    for name, value in load_tensors(tiny.write_tiny_checkpoint(tmp_path)).items():
        assert value.std() > 1e-2, name
        assert not np.any(value == 0), name


def test_bfloat16_weights_are_the_rounded_float32_ones(tmp_path):
    exact = load_tensors(tiny.write_tiny_checkpoint(tmp_path / "a"))
    rounded = load_tensors(tiny.write_tiny_checkpoint(tmp_path / "b", dtype="bfloat16"))
    for name, value in rounded.items():
        assert value.dtype.name == "bfloat16"
        np.testing.assert_array_equal(value, exact[name].astype(value.dtype))


def test_the_index_names_every_tensor_with_its_shard_and_the_total_size(tmp_path):
    folder = tiny.write_tiny_checkpoint(tmp_path, shards=3)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(folder.glob("*.safetensors"))
    assert [file.name for file in files] == [
        f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)
    ]
    stored = {name: file.name for file in files for name in load_file(file)}
    assert index["weight_map"] == stored
    total = sum(value.nbytes for value in load_tensors(folder).values())
    assert index["metadata"]["total_size"] == total


def test_sizes_can_be_overridden(tmp_path):
    config = tiny.tiny_config(
        text={"num_hidden_layers": 1, "rope_theta": 50.0}, vision={"depth": 2}
    )
    tensors = load_tensors(tiny.write_checkpoint(tmp_path, config))
    assert not any(name.startswith(("model.layers.1.", "visual.blocks.2.")) for name in tensors)
    assert json.loads((tmp_path / "config.json").read_text())["rope_theta"] == 50.0


@pytest.mark.parametrize("layout", tiny.LAYOUTS)
@pytest.mark.parametrize("tied", [False, True])
def test_transformers_reads_the_sizes_of_every_layout(tmp_path, layout, tied):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    folder = tiny.write_tiny_checkpoint(tmp_path, layout=layout, tied=tied)
    config = transformers.AutoConfig.from_pretrained(folder)
    text, vision = config.text_config, config.vision_config
    assert config.tie_word_embeddings is tied
    assert {key: getattr(text, key) for key in tiny.TEXT_SIZES} == tiny.TEXT_SIZES
    assert {key: getattr(vision, key) for key in tiny.VISION_SIZES} == tiny.VISION_SIZES
    assert text.rope_parameters["rope_theta"] == tiny.ROPE["rope_theta"]
    assert text.rope_parameters["mrope_section"] == tiny.ROPE["mrope_section"]
    assert config.video_token_id == tiny_vocabulary.added_token_ids()["<|video_pad|>"]


TEXTS = [
    "Whose video is it? It's 1234 of them\n\n  and é e\u0301 中文 🎬",
    "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Why?<|im_end|>\n",
    "<think>x</think><tool_call>",
]


@pytest.mark.parametrize("text", TEXTS)
def test_transformers_and_tokenizers_give_the_same_ids(tmp_path, text):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers")
    folder = tiny.write_tiny_checkpoint(tmp_path)
    bare = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = bare.encode(text).ids
    assert transformers.AutoTokenizer.from_pretrained(folder)(text).input_ids == ids
    (folder / "tokenizer.json").unlink()
    assert transformers.AutoTokenizer.from_pretrained(folder)(text).input_ids == ids
    assert bare.decode(ids, skip_special_tokens=False) == text.replace("e\u0301", "é")


def test_added_tokens_follow_the_vocabulary_in_published_order(tmp_path):
    folder = tiny.write_tiny_checkpoint(tmp_path)
    start = len(json.loads((folder / "vocab.json").read_text()))
    ids = tiny_vocabulary.added_token_ids()
    assert list(ids.values()) == list(range(start, start + 22))
    # In the published vocabulary: 151643 endoftext, 151645 im_end, 151656 video_pad.
    assert [ids[t] - start for t in ("<|endoftext|>", "<|im_end|>", "<|video_pad|>")] == [0, 2, 13]
    assert tiny_vocabulary.tokenizer_size() == start + 22 < tiny.TEXT_SIZES["vocab_size"]


def test_the_chat_template_renders_the_standard_form():
    template = jinja2.Environment().from_string(tiny_vocabulary.CHAT_TEMPLATE)
    parts = [{"type": "video"}, {"type": "image"}, {"type": "text", "text": " What? "}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "B"}]
    assert template.render(messages=messages, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>"
        "<|vision_start|><|image_pad|><|vision_end|> What? <|im_end|>\n"
        "<|im_start|>assistant\nB<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    own = [{"role": "system", "content": "Be brief."}]
    assert template.render(messages=own) == "<|im_start|>system\nBe brief.<|im_end|>\n"


@pytest.mark.parametrize(
    "options",
    [
        {"naming": "hub"},
        {"naming": "new", "layout": "nested", "shards": 2},
        {"naming": "base", "tied": True, "layout": "mixed"},
        {"naming": "hub", "tied": True, "layout": "nested"},
    ],
)
def test_transformers_loads_each_naming_without_missing_or_surplus_tensors(tmp_path, options):
    torch = pytest.importorskip(
        "torch", reason="torch is absent: pip install 'vreason-jax[parity]'"
    )
    from transformers import Qwen2_5_VLForConditionalGeneration as Model

    folder = tiny.write_tiny_checkpoint(tmp_path, **options)
    model, report = Model.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(report.values()), report
    weights = load_tensors(folder)
    name = next(name for name in weights if name.endswith("embed_tokens.weight"))
    head = name if options.get("tied") else "lm_head.weight"
    np.testing.assert_array_equal(model.lm_head.weight.detach().numpy(), weights[head])
