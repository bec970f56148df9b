import math

import numpy as np
import pytest
from random_checkpoint import hf_config
from trace_samples import sample_arrays, sample_trace

from vreason_jax.families.registry import model_config_from_hf
from vreason_jax.output import warnings as signs
from vreason_jax.prompt.chat import Prompt
from vreason_jax.prompt.positions import Medium, next_position, prompt_positions

VOCABULARY = 1000
LIMIT = 0.9 * math.log(VOCABULARY)  # 6.217 nats


def all_signs(trace, value_norm=100.0):
    return signs.failure_signs(trace, vocabulary_size=VOCABULARY, value_norm=value_norm)


def test_healthy_run_has_no_signs():
    assert all_signs(sample_trace(40)) == []
    assert all_signs(sample_trace(40, objective="none")) == []


def test_high_entropy_counts_tokens_above_the_limit():
    entropy = [LIMIT - 0.01] * 36 + [LIMIT + 0.01] * 4
    (sign,) = all_signs(sample_trace(40, entropy=entropy))
    assert sign.startswith("4 of 40 tokens (10 %)")
    assert "6.22 nats" in sign and "controller.learning_rate" in sign
    assert all_signs(sample_trace(40, entropy=[LIMIT - 0.01] * 40)) == []


def test_high_entropy_of_plain_decoding_points_at_the_checkpoint():
    (sign,) = all_signs(sample_trace(40, objective="none", entropy=[6.5] * 40))
    assert "checkpoint" in sign and "learning_rate" not in sign


def peak_that_rises_until(last, size):
    return np.minimum(np.arange(size), last) * 0.1 + 0.5


@pytest.mark.parametrize(("last", "size", "warns"), [(9, 40, True), (10, 40, False), (0, 11, True)])
def test_early_peak_is_the_last_rise_before_token_10(last, size, warns):
    found = all_signs(sample_trace(size, peak=peak_that_rises_until(last, size)))
    assert [f"peaked at token {last} of {size}" in sign for sign in found] == [True] * warns


def test_early_peak_needs_more_than_10_tokens_and_an_objective_that_looks_at_it():
    early = peak_that_rises_until(2, 10)
    assert signs.early_peak(sample_trace(10, peak=early)) is None
    early = peak_that_rises_until(2, 40)
    for objective, expected in {"min": False, "max": False, "none": False, "frozen": True}.items():
        trace = sample_trace(40, objective=objective, peak=early)
        assert (signs.early_peak(trace) is not None) == expected


def test_prompt_without_video_tells_that_the_controller_was_off():
    trace = sample_trace(40, video=0)
    (sign,) = all_signs(trace, value_norm=None)
    assert "no video tokens" in sign and "controller.placement=question" in sign
    # What is not steered by video needs none.
    trace["config"]["controller"]["placement"] = "question"
    assert "no video tokens" not in str(all_signs(trace, value_norm=None))
    assert all_signs(sample_trace(40, video=0, objective="none")) == []


def test_a_delta_without_end_is_not_taken_for_none():
    norms = np.where(np.arange(40) < 8, 0.0, np.nan)
    (sign,) = all_signs(sample_trace(40, delta_norm=norms))
    assert "not finite from token 8 on" in sign and "lower controller.learning_rate" in sign


def test_zero_gradients_and_small_steps_are_told_apart():
    (sign,) = all_signs(sample_trace(40, grad_norm=np.zeros(40), delta_norm=np.zeros(40)))
    assert "all 9 gradients are zero" in sign
    (sign,) = all_signs(sample_trace(40), value_norm=1e6)  # ‖ΔV‖ ends at 0.45
    assert "reached 4.5e-07" in sign and "learning_rate (now 0.0003)" in sign
    (sign,) = all_signs(sample_trace(40, delta_norm=np.zeros(40)), value_norm=None)
    assert "though there were gradients" in sign


def test_ratio_of_steps_has_its_limit_at_one_in_ten_thousand():
    largest = float(sample_arrays(40)["delta_norm"].max())
    assert all_signs(sample_trace(40), value_norm=largest * 0.99e4) == []
    assert len(all_signs(sample_trace(40), value_norm=largest * 1.01e4)) == 1


def test_answer_shorter_than_the_first_update_says_so():
    (sign,) = all_signs(sample_trace(4))
    assert "answer of 4 tokens ended before the first one, at token 4" in sign


def test_a_floor_that_no_entropy_reaches_is_told_as_such():
    trace = sample_trace(40, updated=[False] * 40)
    trace["config"]["controller"]["entropy_floor"] = 50.0
    (sign,) = all_signs(trace)
    assert "below controller.entropy_floor = 50" in sign


def test_numbers_that_are_not_finite_are_told_and_break_nothing():
    broken = {key: [np.nan] * 40 for key in ("entropy", "ema", "logprob", "grad_norm")}
    found = all_signs(sample_trace(40, **broken, delta_norm=[np.nan] * 40, peak=[np.nan] * 40))
    assert found[0].startswith("the logits of 40 of 40 tokens (100 %) are not finite")
    assert "first at token 0" in found[0]


def test_every_sign_is_one_line():
    trace = sample_trace(40, entropy=[9.0] * 40, peak=peak_that_rises_until(0, 40))
    found = all_signs(trace, value_norm=1e9)
    assert len(found) == 3
    assert all("\n" not in sign for sign in found)


def prompt_of(*layout):
    """A prompt of words (by their number) and media, and a model of 100 positions at 2 a second."""
    positions = prompt_positions(layout, tokens_per_second=2)
    size = positions.shape[1]
    media = tuple(part for part in layout if isinstance(part, Medium))
    prompt = Prompt(np.zeros(size, np.int32), positions, next_position(positions), media, size)
    return prompt, model_config_from_hf(hf_config(max_position_embeddings=100))


def test_a_prompt_and_its_answer_may_fill_the_positions_but_not_go_beyond():
    assert signs.prompt_warnings(*prompt_of(60), max_new_tokens=40) == []
    (sign,) = signs.prompt_warnings(*prompt_of(60), max_new_tokens=41)
    assert all(part in sign for part in ("60 tokens", "up to 41", "reach 101", "embeddings of 100"))


@pytest.mark.parametrize(
    ("video", "reach"),
    [
        (Medium("video", (4, 6, 6), 0.5), 10 + 4 * 36 + 1),  # more tokens than positions
        (Medium("video", (4, 1, 1), 20.0), 10 + 3 * 40 + 1 + 1),  # more positions than tokens
    ],
)
def test_tokens_and_positions_both_count(video, reach):
    (sign,) = signs.prompt_warnings(*prompt_of(10, video), max_new_tokens=1)
    assert f"reach {reach}," in sign


@pytest.mark.parametrize(("seconds", "told"), [(0.5, False), (0.49, True), (1.0, False), (0, True)])
def test_a_rate_that_the_time_axis_cannot_tell_apart_is_named_once(seconds, told):
    video = Medium("video", (3, 1, 1), seconds)
    found = signs.prompt_warnings(*prompt_of(1, video, 1, video), max_new_tokens=1)
    assert len(found) == told
    if told:
        assert "above the 4 that" in found[0] and "3 temporal patches" in found[0]


def test_a_single_temporal_patch_and_an_image_have_no_rate():
    short, image = Medium("video", (1, 1, 1), 0.01), Medium("image", (1, 1, 1), 0.01)
    assert signs.prompt_warnings(*prompt_of(1, short, 1, image), max_new_tokens=1) == []
