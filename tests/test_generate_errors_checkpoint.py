"""A wrong checkpoint ends in exit 2, with what was expected and what came in one line."""

import json

import numpy as np
import pytest
from generate_runs import changed_model, rewrite_json
from safetensors.numpy import load_file, save_file

WEIGHTS = "model.safetensors"


def with_tensors(change):
    def rewrite(folder):
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return rewrite


def with_config(vision=None, **values):
    def rewrite(folder):
        config = json.loads((folder / "config.json").read_text())
        rewrite_json(
            folder / "config.json",
            **values,
            **({"vision_config": config["vision_config"] | vision} if vision else {}),
        )

    return rewrite


def with_text(name, text):
    return lambda folder: (folder / name).write_text(text)


def pickled(folder):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def cut_weights(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


LISTED = "`python -m vreason_jax.convert` lists them all"
UP = "model.layers.1.mlp.up_proj.weight"
NORM = "model.norm.weight"
WRONG_CHECKPOINTS = {
    "truncated": (cut_weights, "expected a whole safetensors file"),
    "pickled": (pickled, "found pickled ones (pytorch_model.bin)"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "found no weights"),
    "a tensor missing": (
        with_tensors(lambda tensors: tensors.pop(UP)),
        f"1 missing (first: {UP}), 0 surplus, 0 misshapen; {LISTED}",
    ),
    "a tensor too many": (
        with_tensors(lambda tensors: tensors.update(more=np.zeros(3, np.float32))),
        f"0 missing, 1 surplus (first: more), 0 misshapen; {LISTED}",
    ),
    "a tensor of another shape": (
        with_tensors(lambda tensors: tensors.update({NORM: np.ones(3, np.float32)})),
        f"0 missing, 0 surplus, 1 misshapen (first: {NORM} (expected [96], got [3]))",
    ),
    "integers": (
        with_tensors(lambda tensors: tensors.update({NORM: np.ones(96, np.int8)})),
        f"expected tensors in BF16, F16 or F32, got '{NORM}' in I8",
    ),
    "a shard missing": (
        lambda folder: (
            (folder / WEIGHTS).unlink(),
            with_text("model.safetensors.index.json", '{"weight_map": {"a": "b.safetensors"}}')(
                folder
            ),
        ),
        "names the shard 'b.safetensors', which is missing",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json, found none"),
    "a broken config": (with_text("config.json", '{"model_type":'), "not valid JSON"),
    "a config of numbers that are none": (
        with_config(rms_norm_eps=float("nan")),
        "expected rms_norm_eps to be a number above 0, got nan",
    ),
    "a list for a config": (with_text("config.json", "[]"), "expected model_type 'qwen2_5_vl'"),
    "a foreign model": (with_config(model_type="llama"), "'qwen3_vl', got 'llama'"),
    "a vision tower of another width": (
        with_config(vision={"out_hidden_size": 48}),
        "expected out_hidden_size 96, got 48",
    ),
    "other patches": (
        with_config(vision={"patch_size": 7, "window_size": 56}),
        "expected patch_size 7",
    ),
    "heads that do not divide": (with_config(vision={"num_heads": 5}), "expected a vision width"),
    "half a head": (with_config(num_attention_heads=6.5), "num_attention_heads to be 1, 2, ..."),
    "words for a section": (with_config(text_config="words"), "expected text_config to be an obj"),
    "no tokenizer": (
        lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "vocab.json")],
        "no tokenizer; expected tokenizer.json, or vocab.json and merges.txt",
    ),
    "a broken tokenizer": (with_text("tokenizer.json", "{"), "the tokenizer cannot be read"),
    "another tokenizer": (with_config(video_token_id=5), "config.json says video_token_id 5"),
    "an endless end token": (
        with_text("generation_config.json", '{"eos_token_id": 9999999999}'),
        "expected eos_token_id",
    ),
    "a word for an end token": (
        with_text("generation_config.json", '{"eos_token_id": "</s>"}'),
        "expected eos_token_id",
    ),
    "an end token that the model has not": (
        with_text("generation_config.json", '{"eos_token_id": [1, 99999]}'),
        "expected ids below the vocab_size",
    ),
    "half a pad token": (
        lambda folder: (
            rewrite_json(folder / "tokenizer_config.json", pad_token=None),
            with_text("generation_config.json", '{"pad_token_id": 1.5}')(folder),
        ),
        "generation_config.json: expected pad_token_id to be 0, 1, ..., got 1.5",
    ),
    "fewer rows than tokens": (
        with_config(vocab_size=290),
        "expected ids below the vocab_size 290",
    ),
    "a broken template": (
        with_text("chat_template.json", '{"chat_template": "{% if %}"}'),
        "chat template",
    ),
    "a template that drops the question": (
        with_text("chat_template.json", '{"chat_template": "hi"}'),
        "expected it to show the user's text once",
    ),
    "limits of words": (
        with_text("video_preprocessor_config.json", '{"min_pixels": "few"}'),
        "expected min_pixels and max_pixels of 1, 2, ..., got 'few'",
    ),
}


@pytest.mark.parametrize("case", WRONG_CHECKPOINTS)
def test_a_wrong_checkpoint(refused, place, tmp_path, case):
    change, expected = WRONG_CHECKPOINTS[case]
    assert expected in refused("--model", changed_model(place, tmp_path / "model", change))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing/folder/here", "expected a checkpoint folder or a hub id"),
        ("clip.mp4", "expected a checkpoint folder, got a file"),
        ("frames", "expected a checkpoint folder with a config.json, found none"),
        ("\udcff", "expected a checkpoint folder or a hub id"),
    ],
)
def test_what_is_no_checkpoint(refused, place, name, expected):
    assert expected in refused("--model", place / name)
