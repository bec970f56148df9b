import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from random_checkpoint import save_tensors, write_checkpoint, write_shards
from safetensors.numpy import load_file

from vreason_jax.convert.__main__ import main
from vreason_jax.convert.safetensors_export import write_safetensors
from vreason_jax.families.registry import read_model_config
from vreason_jax.runtime.checkpoint import load_arrays

ROOT = Path(__file__).parent.parent
COMPANIONS = {
    "tokenizer.json": "{}",
    "tokenizer_config.json": '{"a": 1}',
    "merges.txt": "a b\n",
    "chat_template.jinja": "{{ x }}",
    "additional_chat_templates/default.jinja": "{{ y }}",
    "generation_config.json": "{}",
    "preprocessor_config.json": "{}",
    "video_preprocessor_config.json": "{}",
}


def run(source, target, *more):
    return main(["--from", str(source), "--to", str(target), *more])


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].shape == right[name].shape
        assert left[name].tobytes() == right[name].tobytes(), name


@pytest.mark.parametrize("tied", [False, True])
def test_a_round_trip_gives_the_same_bytes(tmp_path, tied):
    _, tensors = write_checkpoint(tmp_path / "hf", tie_word_embeddings=tied)
    # Mixed dtypes stay as they are, each tensor's own.
    tensors["model.norm.weight"] = tensors["model.norm.weight"].astype(np.float32)
    save_tensors(tmp_path / "hf" / "model.safetensors", tensors)
    for name, text in COMPANIONS.items():
        (tmp_path / "hf" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "hf" / name).write_text(text)
    assert run(tmp_path / "hf", tmp_path / "orbax") == 0
    assert not list((tmp_path / "orbax").glob("*.safetensors"))
    assert run(tmp_path / "orbax", tmp_path / "back") == 0
    assert_same(load_file(tmp_path / "back" / "model.safetensors"), tensors)
    for folder in ("orbax", "back"):
        for name, text in COMPANIONS.items():
            assert (tmp_path / folder / name).read_text() == text
        before = (tmp_path / "hf" / "config.json").read_bytes()
        assert (tmp_path / folder / "config.json").read_bytes() == before
    kept = {*COMPANIONS, "config.json", "model.safetensors"}
    files = [file for file in (tmp_path / "back").rglob("*") if file.is_file()]
    assert {file.relative_to(tmp_path / "back").as_posix() for file in files} == kept
    plain = (tmp_path / "hf" / "config.json").stat().st_mode
    assert all(file.stat().st_mode == plain for file in files)


def test_shards_come_back_as_one_file_when_they_fit(tmp_path):
    _, tensors = write_checkpoint(tmp_path / "hf")
    write_shards(tmp_path / "hf", tensors, count=4)
    assert run(tmp_path / "hf", tmp_path / "orbax") == 0
    assert run(tmp_path / "orbax", tmp_path / "back") == 0
    assert_same(load_file(tmp_path / "back" / "model.safetensors"), tensors)
    assert not (tmp_path / "back" / "model.safetensors.index.json").exists()


def test_shards_stay_under_the_limit_and_the_index_finds_every_tensor(tmp_path):
    config, tensors = write_checkpoint(tmp_path / "hf")
    (tmp_path / "out").mkdir()
    _, arrays = load_arrays(tmp_path / "hf", config, None)
    limit = 60_000
    write_safetensors(tmp_path / "out", config, arrays, shard_bytes=limit)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 1
    assert files[-1] == f"model-{len(files):05d}-of-{len(files):05d}.safetensors"
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors.values())
    loaded = {}
    for file in files:
        shard = load_file(tmp_path / "out" / file)
        assert {name for name, f in index["weight_map"].items() if f == file} == set(shard)
        assert len(shard) == 1 or sum(tensor.nbytes for tensor in shard.values()) <= limit
        loaded |= shard
    assert_same(loaded, tensors)
    assert len(load_arrays_of(tmp_path / "out", config)) == len(tensors)


def load_arrays_of(folder, config):
    return load_arrays(folder, config, None)[1]


def test_a_dtype_given_is_cast_to_and_written_into_the_config(tmp_path):
    _, tensors = write_checkpoint(tmp_path / "hf", dtype=np.dtype(np.float32))
    assert run(tmp_path / "hf", tmp_path / "orbax", "--dtype", "bfloat16") == 0
    assert run(tmp_path / "orbax", tmp_path / "back") == 0
    cast = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in tensors.items()}
    assert_same(load_file(tmp_path / "back" / "model.safetensors"), cast)
    assert run(tmp_path / "orbax", tmp_path / "wide", "--dtype", "float32") == 0
    assert json.loads((tmp_path / "wide" / "config.json").read_text())["torch_dtype"] == "float32"
    assert read_model_config(tmp_path / "back").dtype == "bfloat16"


@pytest.mark.parametrize("form", ["hf", "orbax"])
def test_numbers_that_float16_does_not_hold_are_refused(tmp_path, capsys, form):
    _, tensors = write_checkpoint(tmp_path / "hf")
    tensors["model.norm.weight"][0] = np.inf
    save_tensors(tmp_path / "hf" / "model.safetensors", tensors)
    assert run(tmp_path / "hf", tmp_path / "orbax") == 0
    assert run(tmp_path / form, tmp_path / "kept", "--dtype", "float16") == 0
    name = "model.layers.1.mlp.down_proj.weight"
    tensors[name][3, 4] = 1e6
    save_tensors(tmp_path / "hf" / "model.safetensors", tensors)
    shutil.rmtree(tmp_path / "orbax")
    assert run(tmp_path / "hf", tmp_path / "orbax") == 0
    assert run(tmp_path / form, tmp_path / "narrow", "--dtype", "float16") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert name in line and "--dtype bfloat16" in line
    assert not (tmp_path / "narrow").exists()


def test_another_head_under_a_tied_config_is_kept_and_the_config_says_so(tmp_path, capsys):
    _, tensors = write_checkpoint(tmp_path / "hf", tie_word_embeddings=True)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1
    save_tensors(tmp_path / "hf" / "model.safetensors", tensors)
    assert run(tmp_path / "hf", tmp_path / "orbax") == 0
    assert "lm_head.weight" in capsys.readouterr().err
    assert not read_model_config(tmp_path / "orbax").text.tied
    assert run(tmp_path / "orbax", tmp_path / "back") == 0
    assert_same(load_file(tmp_path / "back" / "model.safetensors"), tensors)


def test_every_wrong_tensor_is_listed_and_nothing_is_left_behind(tmp_path, capsys):
    _, tensors = write_checkpoint(tmp_path / "hf")
    gone = [name for name in tensors if ".layers.1." in name]
    wrong = {name: tensor for name, tensor in tensors.items() if name not in gone}
    wrong["model.norm.weight"] = np.zeros(3, np.float32)
    wrong["extra.weight"] = np.zeros(3, np.float32)
    save_tensors(tmp_path / "hf" / "model.safetensors", wrong)
    assert run(tmp_path / "hf", tmp_path / "orbax") == 2
    message = capsys.readouterr().err
    assert len(gone) == 12
    for name in gone:
        assert f"missing: {name}" in message
    assert "surplus: extra.weight" in message
    assert "misshapen: model.norm.weight (expected [48], got [3])" in message
    assert {file.name for file in tmp_path.iterdir()} == {"hf"}


def test_a_failure_while_writing_leaves_no_half_folder(tmp_path, monkeypatch, capsys):
    write_checkpoint(tmp_path / "hf")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vreason_jax.runtime.orbax_files.save_arrays", full)
    assert run(tmp_path / "hf", tmp_path / "orbax") == 2
    assert capsys.readouterr().err.endswith("cannot be written: No space left on device\n")
    assert {file.name for file in tmp_path.iterdir()} == {"hf"}


def test_a_disk_that_is_too_small_is_found_out_before_anything_is_written(
    tmp_path, capsys, monkeypatch
):
    _, tensors = write_checkpoint(tmp_path / "hf")
    size = sum(tensor.nbytes for tensor in tensors.values())
    for free, code in ((size - 1, 2), (size, 0)):
        usage = types.SimpleNamespace(free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda folder, usage=usage: usage)
        assert run(tmp_path / "hf", tmp_path / f"orbax{code}") == code
    assert "GB of the disk are free" in capsys.readouterr().err
    assert {file.name for file in tmp_path.iterdir()} == {"hf", "orbax0"}


@pytest.mark.parametrize("source", ["hf", "orbax"])
def test_a_disk_that_refuses_is_told_in_one_line_and_nothing_is_left(tmp_path, source):
    """RLIMIT_FSIZE stands for it: the system takes what fits, and refuses the rest."""
    write_checkpoint(tmp_path / "hf")
    assert run(tmp_path / "hf", tmp_path / "orbax") == 0
    flags = ["--from", str(tmp_path / source), "--to", str(tmp_path / "new")]
    script = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
from vreason_jax.convert.__main__ import main
raise SystemExit(main({flags!r}))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
    assert "/new: cannot be written: " in ended.stderr and "File too large" in ended.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"hf", "orbax"}


def test_a_target_with_files_in_it_is_left_alone(tmp_path, capsys):
    write_checkpoint(tmp_path / "hf")
    assert run(tmp_path / "hf", tmp_path / "hf") == 2
    assert "expected a new or empty folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "hf", tmp_path / "empty") == 0
    assert (tmp_path / "empty" / "config.json").exists()


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "~nobody-of-this-name/a"])
def test_a_name_that_no_folder_can_have(tmp_path, capsys, value):
    write_checkpoint(tmp_path / "hf")
    for flags in ((value, tmp_path / "x"), (tmp_path / "hf", value)):
        assert run(*flags) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert run(tmp_path / "hf", tmp_path / "x", "--dtype", value) == 2
    assert "--dtype: expected one of float32, bfloat16, float16" in capsys.readouterr().err
    assert {file.name for file in tmp_path.iterdir()} == {"hf"}


@pytest.mark.parametrize("module", ["convert", "vreason_jax.convert"])
def test_both_commands_end_in_exit_code_2_with_one_line(tmp_path, module):
    command = [sys.executable, "-m", module, "--from", str(tmp_path), "--to", str(tmp_path / "x")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and "config.json" in result.stderr


def test_transformers_loads_what_is_exported(tmp_path):
    torch = pytest.importorskip("torch", reason="pip install 'vreason-jax[parity]'")
    from transformers import Qwen2_5_VLForConditionalGeneration

    _, tensors = write_checkpoint(tmp_path / "hf")
    assert run(tmp_path / "hf", tmp_path / "orbax") == 0
    assert run(tmp_path / "orbax", tmp_path / "back") == 0
    model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tmp_path / "back", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    loaded = model.model.language_model.layers[2].mlp.down_proj.weight
    expected = tensors["model.layers.2.mlp.down_proj.weight"].view(np.uint16)
    assert np.array_equal(loaded.detach().view(torch.uint16).numpy(), expected)
