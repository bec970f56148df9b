"""The goldens are what torch computes now: guards them against drift of inputs or writer.

Needs the `parity` extra: pip install 'vreason-jax[parity]'.
"""

import family_checkpoints
import numpy as np
import pytest
from reference_cases import CHECKPOINT_SEED, ROWS, make_case
from reference_runs import FAMILY_RUNS, GOLDENS, LISTS, RUNS, read_golden
from tiny import write_tiny_checkpoint

pytest.importorskip("torch", reason="torch is absent: pip install 'vreason-jax[parity]'")

import reference_torch
import reference_vreason
from reference_torch import case_prompt, family_prompt, load_model

TRACES = {
    **{f"vreason_{case}": runs for case, runs in RUNS.items()},
    **{f"{family}_vreason": runs for family, runs in FAMILY_RUNS.items()},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return load_model(write_tiny_checkpoint(folder, seed=CHECKPOINT_SEED))


@pytest.fixture(scope="module")
def asked(model, tmp_path_factory):
    """The model and the prompt of each file of traces."""
    found = {f"vreason_{case}": (model, case_prompt(make_case(case))) for case in RUNS}
    for family in FAMILY_RUNS:
        folder = family_checkpoints.write(tmp_path_factory.mktemp(family), family)
        with np.load(GOLDENS / f"{family}_video.npz") as golden:
            found[f"{family}_vreason"] = load_model(folder), family_prompt(golden)
    return found


def assert_near(actual, golden, name):
    # Float32 on another machine sums in another order: 1e-4 of the largest value.
    np.testing.assert_allclose(
        actual, golden, rtol=0, atol=1e-4 * np.abs(golden).max(), err_msg=name
    )


@pytest.mark.parametrize("name", ["image_and_video", "padded_batch"])
def test_activations_are_those_of_the_golden(model, name):
    case = make_case(name)
    golden = np.load(GOLDENS / f"model_{name}.npz")
    arrays = reference_torch.activations(model, case)
    real = case.attention_mask.astype(bool)
    assert arrays and set(arrays) <= set(golden.files)
    for key, value in arrays.items():
        per_token = value.shape[:2] == real.shape
        expected = golden[key]
        assert_near(
            value[real] if per_token else value, expected[real] if per_token else expected, key
        )


@pytest.mark.parametrize("name", list(ROWS))
def test_hf5_positions_are_those_of_transformers(model, name):
    golden = np.load(GOLDENS / f"model_{name}.npz")
    positions, following = reference_torch.hf_positions(model, make_case(name))
    np.testing.assert_array_equal(positions, golden["positions_hf5"])
    np.testing.assert_array_equal(following, golden["next_hf5"])


def test_the_first_greedy_tokens_are_those_of_the_golden(model):
    golden = np.load(GOLDENS / "model_image.npz")
    tokens, _ = reference_torch.greedy(model, make_case("image"), 4)
    np.testing.assert_array_equal(tokens, golden["tokens"][:, :4])


@pytest.mark.parametrize("name", list(TRACES))
def test_the_plain_decoder_agrees_with_transformers_at_zero_delta(asked, name):
    tokens = read_golden(name)["none"]["token_ids"]
    assert reference_vreason.decode_error(*asked[name], tokens) < 1e-4


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("vreason_video", "switch@0.1"),
        ("vreason_video", "lite@0.1"),
        ("vreason_video", "norm_tensor"),
        ("vreason_video", "resample"),
        ("vreason_two_videos", "prune_per_frame"),
        ("qwen3_vl_vreason", "question@0.1"),
        ("qwen3_vl_vreason", "layer@0.1"),
        ("qwen2_vl_vreason", "switch@0.1"),
    ],
)
def test_a_trace_is_that_of_the_golden(asked, name, run):
    golden = read_golden(name)[run]
    assert golden["config"] == TRACES[name][run]
    options = reference_vreason.options_of(golden["config"])
    trace = reference_vreason.run(*asked[name], options)
    for key in LISTS:
        if key in ("token_ids", "alpha", "updated"):
            assert trace[key] == golden[key], key
        else:
            # Float64 in place of float32 moves these by up to 1.2e-4 of values up to 30.
            np.testing.assert_allclose(trace[key], golden[key], rtol=1e-4, atol=3e-4, err_msg=key)


@pytest.mark.parametrize(
    ("policy", "dropped"),
    [
        ("value_norm", {1, 4}),
        ("drop_low_key", {0, 3}),
        ("drop_high_key", {1, 2}),
        ("uniform", {1, 3}),
        ("per_frame", {1, 4}),
    ],
)
def test_which_of_five_tokens_each_policy_drops(policy, dropped):
    # Norms: tokens 1 and 4 have the smallest values, 0 and 3 the smallest keys, 1 and 2 tie at the
    # top; half of the patches of 2 and 3 tokens is one of each.
    values = np.array([[3.0, 0], [0, 1], [2, 2], [4, 0], [0, 2]])
    keys = np.array([[1.0], [-9], [9], [2], [9]])
    patches = np.array([0, 0, 1, 1, 1])
    assert set(reference_vreason.dropped_tokens(keys, values, patches, policy, 0.5)) == dropped


def test_a_delta_of_zero_leaves_the_values_bit_for_bit():
    import torch

    values = torch.randn(2, 5, 16, generator=torch.manual_seed(0))
    values[0, 0] = 0  # a slot of norm 0 stays as it is, and gives no NaN
    for norm in ("vector", "tensor", "none"):
        controller = reference_vreason.Controller(reference_vreason.Options(norm=norm), values)
        assert torch.equal(controller.new_values(), values)


def test_alpha_is_plus_one_at_every_new_maximum_of_the_mean():
    import torch

    options = reference_vreason.Options(ema_decay=0.5)
    controller = reference_vreason.Controller(options, torch.ones(1, 1, 2))
    # Means by hand: 1, 2.5, 1.25, 2.125, 3.0625.
    alphas = [controller.observe(entropy) for entropy in (2.0, 4.0, 0.0, 3.0, 4.0)]
    assert alphas == [1, 1, -1, -1, 1]
    assert (controller.ema, controller.peak) == (3.0625, 3.0625)
