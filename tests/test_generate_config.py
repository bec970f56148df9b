"""Flags, config files and what they change of a run of `generate`."""

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), {"controller.objective": "switch", "prune.fraction": 0.0, "model.dtype": None}),
        (("--baseline",), {"controller.objective": "none"}),
        (("--lite",), {"controller.objective": "switch", "prune.fraction": 0.5}),
        (("--config", "baseline"), {"controller.objective": "none"}),
        (("--config", "lite"), {"prune.fraction": 0.5}),
        (("--max-new-tokens", 7), {"sampling.max_new_tokens": 7}),
        (("--num-frames", 6), {"video.num_frames": 6}),
        (("--num-frames", 6, "--set", "video.num_frames=none"), {"video.num_frames": None}),
        (("--seed", 7), {"sampling.seed": 7}),
        (("--dtype", "bfloat16"), {"model.dtype": "bfloat16"}),
        (("--set", "controller.learning_rate=1"), {"controller.learning_rate": 1.0}),
        (("--set", "controller.norm=tensor"), {"controller.norm": "tensor"}),
        (("--set", 'controller.norm = "none"'), {"controller.norm": "none"}),
        (("--set", "controller.objective=none"), {"controller.objective": "none"}),
        (("--set", "controller.resample_after_update=true"),
         {"controller.resample_after_update": True}),
        # --set is the last word, and of two the later.
        (("--baseline", "--set", "controller.objective=min"), {"controller.objective": "min"}),
        (("--set", "controller.every=8", "--set", "controller.every=2"), {"controller.every": 2}),
    ],
)  # fmt: skip
def test_a_flag_changes_its_keys(run, flags, expected):
    config = run.config(*flags).to_dict()
    for key, value in expected.items():
        section, name = key.split(".")
        assert config[section][name] == value
        assert type(config[section][name]) is type(value)


def test_a_config_file_is_overridden_by_set(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[controller]\nevery = 3\nema_decay = 0.5\n[video]\nnum_frames = 4\n")
    config = run.config("--config", file, "--set", "controller.every=2")
    assert (config.controller.every, config.controller.ema_decay) == (2, 0.5)
    assert config.video.num_frames == 4


def test_a_folder_named_like_a_config_does_not_hide_it(run, tmp_path, monkeypatch):
    (tmp_path / "lite").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run.config("--config", "lite").prune.fraction == 0.5


def test_the_trace_records_the_config_with_what_was_left_open(run):
    config = run.traced("--set", "controller.every=3").trace["config"]
    expected = run.config("--set", "controller.every=3").to_dict()
    expected["model"]["dtype"] = "float32"
    expected["video"] |= {"min_pixels": 784, "max_pixels": 4 * 784}  # the checkpoint's
    assert config == expected
    assert run.traced("--dtype", "bfloat16").trace["config"]["model"]["dtype"] == "bfloat16"


def test_pixel_limits_given_by_set_go_before_the_checkpoints(run):
    small = run.traced("--set", "video.max_pixels=784").trace
    assert small["config"]["video"]["max_pixels"] == 784
    assert small["tokens"]["video"] < run.traced().trace["tokens"]["video"]


def test_the_number_of_frames_is_the_flags(run):
    for frames in (4, 8):
        (video,) = run.traced("--num-frames", frames, "--max-new-tokens", 1).trace["videos"]
        assert len(video["frame_indices"]) == frames


def test_baseline_has_no_alpha_no_update_and_no_delta(run):
    trace = run.traced("--baseline").trace
    for key in ("alpha", "updated", "grad_norm", "delta_norm"):
        assert not any(trace[key])
    assert trace["ema"][-1] > 0 and trace["warnings"] == []


def test_lite_halves_the_video_and_answers_otherwise(run):
    full, lite = run.traced().trace, run.traced("--lite").trace
    assert full["tokens"] == lite["tokens"]
    assert full["logprob"][0] == lite["logprob"][0]  # prefill comes before pruning
    assert full["logprob"][1:] != lite["logprob"][1:]


def test_a_seed_decides_what_is_sampled(run):
    def ids(seed):
        return run.traced("--set", "sampling.temperature=1", "--seed", seed).trace["token_ids"]

    assert ids(1) == ids(1) != ids(2)


@pytest.mark.parametrize("mesh", ["data=1,model=2", "data=2", "model=1"])
def test_a_mesh_changes_where_and_not_what(run, mesh):
    alone, spread = run.traced("--mesh", "data=1,model=1").trace, run.traced("--mesh", mesh).trace
    assert spread["token_ids"] == alone["token_ids"]
    for key in ("logprob", "entropy", "delta_norm"):
        np.testing.assert_allclose(spread[key], alone[key], rtol=1e-4, atol=1e-4)


def test_the_plot_is_a_picture(run, tmp_path):
    pytest.importorskip("matplotlib", reason="the plots extra is not installed")
    assert run("--plot", tmp_path / "plot.png").code == 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
