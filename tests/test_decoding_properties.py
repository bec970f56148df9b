"""Properties of whole runs of one answer: what the method must do, and must leave alone."""

import functools

import numpy as np
import pytest
from small_model import LONG, TEXT, Row, assert_same_run, config_of, first_token, run, start

from vreason_jax.config import OBJECTIVES, PRUNE_POLICIES

# A short average and a large learning rate, so that alpha switches and tokens change.
LIVELY = {"controller__ema_decay": 0.5, "controller__learning_rate": 0.1}


@functools.cache
def trace_of(**changes):
    return run((LONG,), config_of(**{**LIVELY, **changes}))


@functools.cache
def plain():
    return trace_of(controller__objective="none")


def column(trace, name):
    return getattr(trace, name)[:, 0]


def test_the_small_model_is_neither_certain_nor_clueless():
    entropy = column(plain(), "entropy")
    assert 0.2 * np.log(101) < entropy.mean() < 0.9 * np.log(101)
    assert len(set(column(plain(), "token").tolist())) > 3


def test_the_video_matters():
    still = run((LONG,), config_of(controller__objective="none"), media_gain=0.0)
    assert np.abs(still.entropy - plain().entropy).max() > 0.1


def test_no_learning_is_plain_decoding():
    frozen = trace_of(controller__learning_rate=0.0)
    np.testing.assert_array_equal(frozen.token, plain().token)
    # The tail adds a shift of exactly 0; only the compiler's order of sums can differ.
    np.testing.assert_allclose(frozen.entropy, plain().entropy, rtol=1e-5)
    np.testing.assert_array_equal(frozen.delta_norm, 0)
    assert column(frozen, "grad_norm")[[4, 8, 12]].min() > 1e-2


def test_a_large_learning_rate_is_not_plain_decoding():
    assert np.abs(trace_of().entropy - plain().entropy).max() > 0.05


def test_the_tokens_up_to_the_first_update_do_not_know_of_the_controller():
    # Token k is drawn from logits computed before the update at k.
    for objective in ("switch", "min", "random_direction"):
        steered = trace_of(controller__objective=objective)
        np.testing.assert_array_equal(steered.token[:5], plain().token[:5])
        np.testing.assert_allclose(steered.entropy[:5], plain().entropy[:5], rtol=1e-5)


def expected_switch(entropy, decay):
    """EMA, peak and alpha of a curve, in plain Python."""
    ema, peak, rows = 0.0, -np.inf, []
    for value in entropy.tolist():
        ema = decay * ema + (1 - decay) * value
        alpha = 1.0 if ema >= peak else -1.0
        peak = max(peak, ema)
        rows.append((ema, peak, alpha))
    return map(np.array, zip(*rows, strict=True))


@pytest.mark.parametrize("objective", [o for o in OBJECTIVES if o != "none"])
def test_every_objective_reports_alpha_updates_and_norms(objective):
    trace = trace_of(controller__objective=objective)
    ema, peak, switched = expected_switch(column(trace, "entropy"), 0.5)
    np.testing.assert_allclose(column(trace, "ema"), ema, rtol=1e-5)
    np.testing.assert_allclose(column(trace, "peak"), peak, rtol=1e-5)
    assert {-1.0, 1.0} == set(switched), "the curve must make alpha switch"
    alpha = column(trace, "alpha")
    rules = {"min": -np.ones(13), "max": np.ones(13), "inverted": -switched, "random": alpha}
    np.testing.assert_array_equal(alpha, rules.get(objective, switched))
    assert set(np.abs(alpha)) == {1.0}

    updates = [4] if objective == "frozen" else [4, 8, 12]  # 12 is the last token
    assert np.flatnonzero(column(trace, "updated")).tolist() == updates
    assert np.flatnonzero(column(trace, "grad_norm")).tolist() == updates
    changes = np.flatnonzero(np.diff(column(trace, "delta_norm"))) + 1
    assert changes.tolist() == updates


def test_the_first_update_moves_every_number_by_about_the_learning_rate():
    norm = column(trace_of(), "delta_norm")[4]
    count = 2 * LONG.tokens * 16
    # Where |g| comes near eps a step is smaller: of 384 numbers a few.
    np.testing.assert_allclose(norm, 0.1 * np.sqrt(count), rtol=1e-2)


def test_plain_decoding_reports_no_steering_but_entropy_average_and_peak():
    trace = plain()
    for name in ("alpha", "updated", "grad_norm", "delta_norm"):
        assert not getattr(trace, name).any()
    ema, peak, _ = expected_switch(column(trace, "entropy"), 0.5)
    np.testing.assert_allclose(column(trace, "ema"), ema, rtol=1e-5)
    np.testing.assert_allclose(column(trace, "peak"), peak, rtol=1e-5)


def test_frozen_keeps_the_delta_of_the_first_update():
    frozen, switch = trace_of(controller__objective="frozen"), trace_of()
    assert len(set(column(frozen, "delta_norm")[4:])) == 1
    np.testing.assert_allclose(frozen.entropy[:9], switch.entropy[:9], rtol=1e-5)


def test_an_entropy_floor_leaves_out_the_updates_below_it():
    floor = float(np.median(column(plain(), "entropy")))
    trace = trace_of(controller__entropy_floor=floor, controller__every=1)
    due = (column(trace, "entropy") >= floor) & (np.arange(13) > 0)
    np.testing.assert_array_equal(column(trace, "updated"), due)
    np.testing.assert_array_equal(column(trace, "grad_norm") > 0, due)
    changes = np.flatnonzero(np.diff(column(trace, "delta_norm"))) + 1
    assert changes.tolist() == np.flatnonzero(due).tolist() and 2 < due.sum() < 11


def test_random_direction_follows_the_trained_length_but_not_its_effect():
    control, switch = trace_of(controller__objective="random_direction"), trace_of()
    np.testing.assert_allclose(
        column(control, "delta_norm")[4:8], column(switch, "delta_norm")[4:8], rtol=1e-5
    )
    assert np.abs(control.entropy[5:8] - switch.entropy[5:8]).max() > 1e-3


def test_text_alone_is_decoded_without_a_controller():
    trace = run((TEXT,), config_of(**LIVELY))
    assert not trace.alpha.any() and not trace.updated.any() and not trace.delta_norm.any()
    assert np.isfinite(trace.entropy).all()


def test_chunks_equal_one_scan():
    chunked = run((LONG,), config_of(**LIVELY), chunks=(4, 4, 4))
    assert_same_run(chunked, trace_of())


def test_reading_one_more_token_equals_a_decode_step():
    # The first generated token, taken into the prompt: the next logits must be the same.
    drawn = plain()
    token = int(drawn.token[0, 0])

    class Longer(Row):
        token_ids = np.append(LONG.token_ids, token)
        positions = np.append(LONG.positions, [[LONG.positions.max() + 1]] * 3, axis=1)

    begun = first_token(start((Longer(),), config_of(controller__objective="none")))
    assert begun.first.token[0, 0] == drawn.token[1, 0]
    # The same sums in another order: float32, a few units of the sixth digit.
    np.testing.assert_allclose(begun.first.entropy[0, 0], drawn.entropy[1, 0], rtol=1e-5)
    np.testing.assert_allclose(begun.first.logprob[0, 0], drawn.logprob[1, 0], rtol=1e-5)
    assert begun.slot == LONG.length + 1


def test_the_repetition_penalty_counts_prompt_and_answer():
    config = config_of(controller__objective="none", sampling__repetition_penalty=1e6)
    token = column(run((LONG,), config), "token").tolist()
    assert len(set(token)) == len(token)
    assert not set(token) & set(LONG.token_ids.tolist())


@pytest.mark.parametrize("policy", PRUNE_POLICIES)
def test_every_prune_policy_runs_and_keeps_the_positions(policy):
    config = config_of(prune__fraction=0.5, prune__policy=policy, **LIVELY)
    begun = start((LONG,), config)
    # Counted from the unpruned prompt.
    assert begun.context.next_position[0] == LONG.positions.max() + 1
    assert begun.slot == begun.state.slot == LONG.length - 6
    np.testing.assert_array_equal(begun.context.target.mask.sum(-1), [[6, 6]])
    # The first token is drawn before anything is dropped.
    np.testing.assert_allclose(begun.first.entropy[0], plain().entropy[0, 0], rtol=1e-5)


VIDEO = LONG.before + np.arange(LONG.tokens)


def kept_by_hand(values, fraction=0.5):
    """Which slots of one layer's heads survive `value_norm`: [K, slots]."""
    kept = []
    for head in np.asarray(values)[0]:
        lengths = np.linalg.norm(head[VIDEO], axis=-1)
        lost = VIDEO[np.argsort(lengths, kind="stable")[: int(LONG.tokens * fraction)]]
        kept.append(np.setdiff1d(np.arange(LONG.length), lost))
    return np.array(kept)


def layers_of(begun):
    return *begun.state.cache.body, begun.state.cache.last


def test_pruning_drops_the_smallest_values_of_each_layer_and_head_in_order():
    # By the program that draws the first token of what is pruned.
    whole = first_token(start((LONG,), config_of(controller__objective="none")))
    pruned = start((LONG,), config_of(prune__fraction=0.5))
    sets = []
    for before, after in zip(layers_of(whole), layers_of(pruned), strict=True):
        kept = kept_by_hand(before.values)
        sets.append(kept)
        for head, slots in enumerate(kept):
            for new, old in (
                (after.values[0, head], before.values[0, head]),
                (after.keys[0, head].T, before.keys[0, head].T),
            ):
                np.testing.assert_array_equal(new[: len(slots)], np.asarray(old)[slots])
    assert len({tuple(heads.reshape(-1)) for heads in sets}) > 1, "layers must differ"
    assert (sets[0][0] != sets[0][1]).any(), "heads must differ"
    for head, slots in enumerate(sets[-1]):
        video = np.flatnonzero(np.isin(slots, VIDEO))
        np.testing.assert_array_equal(np.flatnonzero(pruned.context.target.mask[0, head]), video)


def test_lite_steers_the_slots_that_are_left():
    trace = run((LONG,), config_of(prune__fraction=0.5, **LIVELY))
    assert column(trace, "updated")[[4, 8, 12]].all()
    np.testing.assert_allclose(column(trace, "delta_norm")[4], 0.1 * np.sqrt(2 * 6 * 16), rtol=1e-2)
