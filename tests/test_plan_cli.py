"""`plan` says what fits on which devices, and what to change where it does not."""

import json

import jax
import numpy as np
import pytest

from vreason_jax import plan
from vreason_jax.embedded import CHECKPOINT
from vreason_jax.families.registry import published_config
from vreason_jax.runtime import mesh as mesh_lib

PARTS = ("weights", "cache", "controller", "activations")


@pytest.fixture
def run(capsys):
    def call(text):
        capsys.readouterr()
        code = plan.main(text.split())
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def report(run):
    def call(text):
        code, out, err = run(f"{text} --json")
        assert (code, err) == (0, "")
        return json.loads(out)

    return call


def test_json_has_all_keys_and_its_parts_add_up(report):
    found = report("--model 7b --device v5e-8 --num-frames 48")
    assert found.keys() == {
        "model", "device", "fits", "mesh", "per_device_bytes", "video_tokens", "bound", "advice",
    }  # fmt: skip
    assert found["bound"].keys() == {"tokens_per_second", "first_token_seconds"}
    held = found["per_device_bytes"]
    assert held.keys() == {*PARTS, "total", "limit"}
    assert held["total"] == sum(held[part] for part in PARTS)
    assert found["fits"] is (held["total"] <= held["limit"]) is True
    assert found["video_tokens"] == 6144 and found["advice"] == ""


def test_a_mesh_that_holds_a_long_cache_is_named_where_the_default_does_not(report):
    """Six devices hold fewer bytes of weights each than four, and more of every head's cache."""
    words = "--model qwen3vl-32b --device h100:6 --batch-size 64"
    found = report(words)
    assert not found["fits"] and found["mesh"]["model"] == 6
    assert found["advice"].startswith("it fits with --mesh data=1,model=4 or ")
    assert report(f"{words} --mesh model=4")["fits"]


@pytest.mark.parametrize(
    ("model", "device", "devices"),
    [
        ("3b", "v5e-4", 4),
        ("7b", "v5e-8", 8),
        ("72b", "v5p-8", 8),
        ("7b", "h100:7", 7),
        ("3b", "h100:5", 5),
    ],
)
def test_the_default_mesh_is_the_one_that_a_run_takes(report, monkeypatch, model, device, devices):
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices(backend="cpu")[0]] * devices)
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    monkeypatch.setattr(mesh_lib, "_ordered", lambda found, shape: np.empty(shape))
    monkeypatch.setattr(mesh_lib, "Mesh", lambda grid, axes, axis_types: grid.shape)
    made = mesh_lib.create_mesh(None, published_config(model))
    assert tuple(report(f"--model {model} --device {device}")["mesh"].values()) == made


def test_what_no_change_alone_cures_several_do_together(report):
    wanted = "--model 72b --device v5e-4 --batch-size 256"
    assert not report(wanted)["fits"]
    advice = report(wanted)["advice"]
    assert "together do v5e-" in advice and "--batch-size 1" in advice
    device, *rest = advice.split("together do ")[1].split(", ")
    weights = ["--weights int8"] if any("int8" in each for each in rest) else []
    assert report(" ".join(["--model 72b --device", device, *weights]))["fits"]


@pytest.mark.parametrize(
    ("request_text", "words"),
    [
        ("--model 72b --device v5e-8", "it fits with v5e-16"),
        ("--model 7b --device v6e-1 --batch-size 64", "--batch-size"),
        ("--model 7b --device v6e-1 --num-frames 1024", "--num-frames"),
        ("--model 7b --device v5e-8 --mesh model=1", "--mesh data=1,model=8"),
        ("--model 72b --device v5e-1 --max-new-tokens 9000000", "at this length, these frames"),
        ("--model 72b --device h100:1", "h100:3"),
        ("--model 32b --device h100:1", "XLA_PYTHON_CLIENT_MEM_FRACTION"),
        ("--model 3b --device v5e-8 --mesh model=2", "6 of 8 devices stay idle"),
        ("--model 72b --device h200:1", "--weights int8 (--set model.weights=int8)"),
    ],
)
def test_advice_names_what_to_change(report, request_text, words):
    assert words in report(request_text)["advice"]


def test_what_is_advised_fits_and_one_step_more_does_not(report):
    asked = "--model 7b --device v6e-1 --num-frames 48"
    found = report(f"{asked} --batch-size 64")
    assert not found["fits"]
    number = int(found["advice"].split("--batch-size ")[1].split()[0])
    fits = [report(f"{asked} --batch-size {n}")["fits"] for n in (number, number + 1)]
    assert fits == [True, False]


def test_a_hub_id_is_the_shape_of_its_name(report):
    for hub, name in (
        ("Qwen/Qwen2.5-VL-7B-Instruct", "7b"),
        ("Qwen/Qwen2-VL-2B", "qwen2vl-2b"),
        ("Qwen3-VL-8B-Thinking", "qwen3vl-8b"),
    ):
        one, other = (report(f"--model {model} --device v5e-8") for model in (hub, name))
        assert one.pop("model") == hub and other.pop("model") == name and one == other


def test_a_folder_is_planned_with_its_own_limits(report):
    found = report(f"--model {CHECKPOINT} --device v5e-1 --num-frames 8")
    assert found["fits"] and found["mesh"] == {"data": 1, "model": 1}


def test_one_plan_is_a_page_and_several_are_a_table(run):
    code, out, _ = run("--model 7b --device v5e-8")
    assert code == 0 and out.startswith("7b on v5e-8, --mesh data=1,model=8: fits\n")
    code, out, _ = run("--model 3b 72b --device v5e-4 h100:1")
    head, rule, small, large = out.splitlines()
    assert head == "|  | v5e-4 | h100:1 |" and rule == "| --- | --- | --- |"
    assert small.startswith("| 3b |") and "/s" in small and large.count("no: ") == 2


@pytest.mark.parametrize(
    ("request_text", "words"),
    [
        ("--model 8b --device v5e-8", "expected 3b, 7b, 32b, 72b, "),
        ("--model Qwen/Qwen3-VL-9B --device v5e-8", "the nearest known one is 'qwen3vl-"),
        ("--model 7b --device v5e-7", "expected one of v5e-1"),
        ("--model 7b --device v5e-8 --mesh model=9", "at most the 8"),
        ("--model 7b --device v5e-16 --mesh model=8", "exactly the 16"),
        ("--model 7b --device v5e-8 --num-frames 0", "--num-frames"),
        ("--model 7b --device v5e-8 --batch-size 99999999999", "--batch-size"),
        ("--model 7b --device v5e-8 --max-pixels 100", "expected min <= max"),
        ("--model 7b --device v5e-8 --max-pixels 2147483647", "expected at most 3.2"),
        ("--model 7b --device v5e-8 --weights int4", "int4"),
        ("--model 7b --device h100:1 --compile", "expected TPUs"),
        ("--device v5e-8", "--model"),
    ],
)
def test_wrong_input_ends_with_one_line_and_exit_code_2(run, request_text, words):
    code, out, err = run(request_text)
    assert (code, out) == (2, "") and err.count("\n") == 1 and words in err


def test_times_within_a_clip_are_planned_for(report):
    request = "--device v5e-4 --num-frames 384 --max-pixels 131072 --model"
    plain, marked = (report(f"{request} {model}") for model in ("7b", "qwen3vl-8b"))
    assert marked["per_device_bytes"]["cache"] >= 1.5e9 and plain["video_tokens"] > 0


def test_a_table_is_followed_by_what_to_change(capsys):
    assert plan.main(["--model", "3b", "72b", "--device", "v5e-4", "v5e-8"]) == 0
    said = capsys.readouterr()
    assert all(line.startswith("|") for line in said.out.splitlines())
    note, other = said.err.splitlines()
    assert note.startswith("72b on v5e-4: it fits with") and other.startswith("72b on v5e-8:")


def test_frames_may_be_smaller_than_a_models_own(report):
    assert report("--model 7b --device v5e-8 --min-pixels 784 --max-pixels 50176")["fits"]


def test_an_embedded_checkpoint_is_planned_by_its_name_and_errors_name_options(run, report):
    assert report("--model shapes --device v5e-4")["fits"]
    code, _, err = run("--model 7b --device v5e-4 --max-pixels 50000")
    assert code == 2 and "--max-pixels" in err and "video." not in err
