"""What changes an answer changes the hash, and nothing else does."""

import dataclasses
import shutil

import pytest

from vreason_jax.config import RunConfig
from vreason_jax.errors import UserError
from vreason_jax.evaluation.running.identity import (
    answer_values,
    check_same,
    config_hash,
    fingerprint,
)
from vreason_jax.settings import apply_overrides

COMMON = {"benchmark": "shapes", "protocol": "video_r1", "model": "tiny", "dtype": "float32"}


def hashed(common=COMMON, **overrides):
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    return config_hash(common, apply_overrides(RunConfig(), keys))


def test_every_key_but_the_seed_and_the_patience_changes_the_hash():
    changed = {
        "controller__every": 8,
        "prune__fraction": 0.5,
        "sampling__max_new_tokens": 8,
        "sampling__temperature": 0.5,
        "video__num_frames": 8,
        "video__reader": "pyav",
        "model__position_rule": "hf5",
    }
    hashes = {hashed(), *(hashed(**{key: value}) for key, value in changed.items())}
    assert len(hashes) == len(changed) + 1
    assert hashed(sampling__seed=7, video__timeout_seconds=3.0) == hashed()
    assert all(hashed({**COMMON, key: "other"}) != hashed() for key in COMMON)


def test_all_keys_of_a_run_config_are_accounted_for():
    count = sum(
        len(dataclasses.fields(getattr(RunConfig(), section.name)))
        for section in dataclasses.fields(RunConfig)
    )
    assert len(answer_values(RunConfig())) == count - 3


def test_a_template_counts_by_its_text_and_not_by_its_path(tmp_path):
    for name, text in (("a", "{question} Think."), ("b", "{question} Think."), ("c", "{question}")):
        (tmp_path / name).write_text(text)
    a, b, c = (hashed(prompt__template=str(tmp_path / name)) for name in "abc")
    assert a == b != c


def test_the_fingerprint_is_of_contents(place, tmp_path):
    first = fingerprint(place / "model")
    shutil.copytree(place / "model", tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("another model card")
    (tmp_path / "copy" / "trainer_state.json").write_text("{}")
    (tmp_path / "copy" / "runs").mkdir()
    (tmp_path / "copy" / "runs" / "config.json").write_text("{}")
    assert fingerprint(tmp_path / "copy") == first  # none of them is read
    weights = tmp_path / "copy" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    changed = fingerprint(tmp_path / "copy")
    assert changed != first
    (tmp_path / "copy" / "generation_config.json").write_text("{}")
    assert fingerprint(tmp_path / "copy") not in (first, changed)


def test_a_run_goes_on_with_more_methods_and_says_what_else_differs():
    vreason, baseline = {"controller.every": 4, "prune.fraction": 0.0}, {"controller.every": 4}
    old = {"common": COMMON, "methods": {"vreason": vreason}}
    check_same(old, COMMON, {"vreason": vreason, "baseline": baseline})
    check_same(old, COMMON, {"baseline": baseline})
    with pytest.raises(UserError) as caught:
        check_same(
            old, {**COMMON, "dtype": "bfloat16"}, {"vreason": {**vreason, "controller.every": 8}}
        )
    reason = str(caught.value)
    assert "dtype: 'float32' there, 'bfloat16' here" in reason
    assert "vreason: controller.every: 4 there, 8 here" in reason
    assert "prune.fraction" not in reason
