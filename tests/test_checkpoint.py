"""A folder's own sampling, where it is asked for."""

import dataclasses
import json
import shutil

import pytest

import vreason_jax
from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig, SamplingConfig
from vreason_jax.embedded import CHECKPOINTS
from vreason_jax.errors import UserError
from vreason_jax.settings import apply_overrides

QWEN3 = {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "eos_token_id": [1]}


def sampled(folder, said, **changes):
    """The sampling of a run that sets `changes` by hand, in a folder that says `said`."""
    if said is not None:
        (folder / "generation_config.json").write_text(json.dumps(said))
    checkpoint = dataclasses.replace(Checkpoint.open(None), folder=folder)
    given = {f"sampling.{key}": value for key, value in changes.items()}
    run = apply_overrides(RunConfig(), given)
    return checkpoint.sampled(run, given).sampling


def test_the_folders_sampling_holds_but_for_what_is_set_by_hand(tmp_path):
    own = sampled(tmp_path, QWEN3, source="checkpoint")
    assert (own.temperature, own.top_k, own.top_p, own.min_p) == (0.7, 20, 0.8, 0.0)
    mixed = sampled(tmp_path, QWEN3, source="checkpoint", temperature=0.0, top_k=0)
    assert (mixed.temperature, mixed.top_k, mixed.top_p) == (0.0, 0, 0.8)
    assert sampled(tmp_path, QWEN3) == RunConfig().sampling


def test_what_a_config_sets_holds_too_and_what_a_folder_leaves_out_is_as_in_transformers(tmp_path):
    (tmp_path / "generation_config.json").write_text('{"do_sample": true, "top_p": 0.9}')
    checkpoint = dataclasses.replace(Checkpoint.open(None), folder=tmp_path)
    asked = SamplingConfig(source="checkpoint", top_p=0.5, min_p=0.1)
    own = checkpoint.sampled(RunConfig(sampling=asked), ()).sampling
    assert (own.temperature, own.top_k, own.top_p, own.min_p) == (1.0, 50, 0.5, 0.1)


def test_what_a_file_sets_to_a_default_is_set_by_hand(tmp_path):
    folder, file = tmp_path / "model", tmp_path / "mine.toml"
    shutil.copytree(CHECKPOINTS["shapes"], folder)
    (folder / "generation_config.json").write_text(json.dumps(QWEN3))
    file.write_text('[sampling]\nsource = "checkpoint"\ntemperature = 0.0\n')
    seen = vreason_jax.load(folder, str(file), mesh="data=1").generate(
        None, "What?", controller__objective="none", sampling__max_new_tokens=1
    )
    sampling = seen.trace["config"]["sampling"]
    assert (sampling["temperature"], sampling["top_k"]) == (0.0, 20)


def test_a_folder_that_does_not_sample_is_greedy_and_keeps_its_penalty(tmp_path):
    own = sampled(tmp_path, {"temperature": 0.6, "repetition_penalty": 1.05}, source="checkpoint")
    assert (own.temperature, own.repetition_penalty) == (0.0, 1.05)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, "sampling.source: expected generation_config.json"),
        ({"do_sample": True, "top_p": 2}, r"generation_config.json: sampling.top_p: expected"),
        ({"do_sample": True, "top_k": "x"}, r"generation_config.json: sampling.top_k: expected"),
    ],
)
def test_a_folder_that_says_nothing_useful_is_one_line(tmp_path, said, message):
    with pytest.raises(UserError, match=message):
        sampled(tmp_path, said, source="checkpoint")


def test_nothing_is_as_if_it_were_left_out(tmp_path):
    said = {"do_sample": True, "temperature": None, "top_k": None, "top_p": 0.9}
    own = sampled(tmp_path, said, source="checkpoint")
    assert (own.temperature, own.top_k, own.top_p) == (1.0, 50, 0.9)
