"""What `generate` warns of, end to end."""

import numpy as np
from generate_runs import changed_model, rewrite_json
from safetensors.numpy import load_file, save_file


def rescaled(place, folder, **factors):
    """A copy of the checkpoint with tensors (ending so) multiplied by a factor."""

    def change(model):
        tensors = load_file(model / "model.safetensors")
        for name, values in tensors.items():
            for ending, factor in factors.items():
                if name.endswith(f"{ending}.weight"):
                    tensors[name] = values * np.float32(factor)
        save_file(tensors, model / "model.safetensors")

    return changed_model(place, folder, change)


def only_warning(run) -> str:
    assert run.warnings == run.trace["warnings"]
    (line,) = run.warnings
    return line


def test_nearly_uniform_guesses_are_told(run, place, tmp_path):
    model = rescaled(place, tmp_path / "model", lm_head=0.01)
    assert "had an entropy above 0.9 log|V| = 5.19 nats" in only_warning(
        run.traced("--model", model, "--max-new-tokens", 6)
    )


def test_a_controller_without_a_step_is_told(run):
    line = only_warning(run.traced("--max-new-tokens", 6, "--set", "controller.learning_rate=0"))
    assert "‖ΔV‖/‖V‖ reached 0.0e+00" in line and "higher controller.learning_rate" in line


def test_a_controller_without_a_gradient_is_told(run, place, tmp_path):
    model = rescaled(place, tmp_path / "model", o_proj=0)
    line = only_warning(run.traced("--model", model, "--max-new-tokens", 6))
    assert "all 1 gradients are zero" in line


def test_an_answer_without_video_is_told(run):
    assert "the prompt has no video tokens" in only_warning(run.traced("--no-video"))
    assert run.traced("--no-video", "--baseline").warnings == []


def test_an_answer_too_short_for_an_update_is_told(run):
    assert "made no update" in only_warning(run.traced("--max-new-tokens", 3))


def test_more_video_than_memory_is_told_once_before_the_work(run, monkeypatch):
    monkeypatch.setattr("vreason_jax.runtime.memory.free_bytes", lambda device: 300_000)
    line = only_warning(run.traced("--max-new-tokens", 6))
    assert "video tokens, about 0 fit in the 0.0 GB of free memory; lower video.max_pixels" in line


def test_a_head_that_config_json_does_not_know_is_told(run, place, tmp_path):
    model = changed_model(place, tmp_path / "model")
    rewrite_json(model / "config.json", tie_word_embeddings=True)
    line = only_warning(run.traced("--model", model, "--max-new-tokens", 6))
    assert line.startswith("config.json ties head and embedding")
