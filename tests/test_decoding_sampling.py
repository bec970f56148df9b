"""From logits to a token: examples worked by hand, and rules against sorting."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.config import SamplingConfig
from vreason_jax.decoding import sampling
from vreason_jax.decoding.sampling import SamplingNumbers

KEY = jax.random.key(0)
# Probabilities 0.5, 0.25, 0.125, 0.125, out of order.
LOGITS = jnp.log(jnp.array([0.125, 0.5, 0.125, 0.25]))
COUNT = 2000


def draw(logits, config, seen=None, keys=KEY[None]):
    """The token of each key."""
    rows = jnp.broadcast_to(logits, (len(keys), len(logits)))
    seen = jnp.zeros(logits.shape, bool) if seen is None else seen
    numbers = SamplingNumbers.of(config)
    return DRAW(rows, jnp.broadcast_to(seen, rows.shape), keys, numbers)


DRAW = jax.jit(
    lambda logits, seen, keys, numbers: sampling.draw_tokens(logits, seen, lambda: keys, numbers)
)
KEEP = jax.jit(sampling.keep_likely)


def shares(config, logits=LOGITS, seen=None):
    """How often each token is drawn over many keys."""
    tokens = draw(logits, config, seen, jax.random.split(KEY, COUNT))
    return np.bincount(np.asarray(tokens), minlength=len(logits)) / COUNT


def kept(logits=LOGITS, **rules):
    """The tokens that rules keep."""
    numbers = SamplingNumbers.of(SamplingConfig(temperature=1.0, **rules))
    return np.flatnonzero(np.isfinite(KEEP(logits, numbers))).tolist()


# Four standard deviations of a share of one half over 2,000 draws.
TOLERANCE = 0.045


def test_temperature_zero_takes_the_largest_logit_and_of_equals_the_first():
    config = SamplingConfig(temperature=0.0)
    assert draw(LOGITS, config) == 1
    assert draw(jnp.array([0.0, 3.0, 3.0]), config) == 1


def test_temperature_one_draws_from_the_softmax():
    config = SamplingConfig(temperature=1.0)
    np.testing.assert_allclose(shares(config), jnp.exp(LOGITS), atol=TOLERANCE)


def test_temperature_divides_the_logits():
    # At one half the probabilities are squared: 1, 16, 1, 4 parts of 22.
    expected = np.array([1, 16, 1, 4]) / 22
    config = SamplingConfig(temperature=0.5)
    np.testing.assert_allclose(shares(config), expected, atol=TOLERANCE)
    cold = shares(SamplingConfig(temperature=1e-6))
    np.testing.assert_array_equal(cold, [0, 1, 0, 0])


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    found = [kept(top_p=p) for p in (0.4, 0.6, 0.8, 0.99)]
    # Of the two equal ones the earlier.
    assert found == [[1], [1, 3], [0, 1, 3], [0, 1, 2, 3]]
    drawn = shares(SamplingConfig(temperature=1.0, top_p=0.6))
    np.testing.assert_allclose(drawn, [0, 2 / 3, 0, 1 / 3], atol=TOLERANCE)


def test_a_tiny_top_p_is_greedy():
    np.testing.assert_array_equal(shares(SamplingConfig(temperature=1.0, top_p=1e-6)), [0, 1, 0, 0])


def test_min_p_drops_what_is_less_likely_than_its_share_of_the_best():
    drawn = shares(SamplingConfig(temperature=1.0, min_p=0.4))  # floor 0.2
    np.testing.assert_allclose(drawn, [0, 2 / 3, 0, 1 / 3], atol=TOLERANCE)
    np.testing.assert_array_equal(shares(SamplingConfig(temperature=1.0, min_p=1.0)), [0, 1, 0, 0])


def test_top_h_keeps_tokens_while_their_entropy_stays_under_its_share():
    # In bits: all four 1.75; of the first 1, 2, 3 renormalised 0, 0.9183 and 1.3788.
    shares_of_all = np.array([0.9183, 1.3788]) / 1.75
    cases = {
        0.01: [1],
        shares_of_all[0] - 1e-3: [1],
        shares_of_all[0] + 1e-3: [1, 3],
        shares_of_all[1] - 1e-3: [1, 3],
        shares_of_all[1] + 1e-3: [0, 1, 3],  # of the two equal ones the earlier
    }
    for top_h, expected in cases.items():
        assert kept(top_h=float(top_h)) == expected, top_h
    drawn = shares(SamplingConfig(temperature=1.0, top_h=0.6))
    np.testing.assert_allclose(drawn, [0, 2 / 3, 0, 1 / 3], atol=TOLERANCE)


def test_top_h_of_zero_and_of_one_keep_all_and_the_temperature_comes_first():
    for top_h in (0.0, 1.0):
        drawn = shares(SamplingConfig(temperature=1.0, top_h=top_h))
        np.testing.assert_allclose(drawn, jnp.exp(LOGITS), atol=TOLERANCE)
    # At temperature 0.5: 16, 4, 1, 1 parts of 22, 1.187 bits; of the first two 0.722, of the first
    # three 0.964: more than 0.7 of all, 0.831.
    cold = shares(SamplingConfig(temperature=0.5, top_h=0.7))
    np.testing.assert_allclose(cold, [0, 0.8, 0, 0.2], atol=TOLERANCE)


def test_top_h_takes_a_certain_token_and_leaves_out_what_another_rule_has():
    assert kept(jnp.array([0.0, 200.0, 0.0]), top_h=0.5) == [1]
    cut = jnp.where(jnp.array([True, False, True, True]), LOGITS, -jnp.inf)
    assert kept(cut, top_h=0.99) == [0, 3]
    # Of the two most likely the entropy is 0.918 bits: all of it may stay.
    assert kept(top_k=2, top_h=0.99) == [1]
    assert kept(top_k=3, top_h=0.99) == [1, 3]


def test_top_k_keeps_so_many_and_the_others_act_on_what_it_leaves():
    assert [kept(top_k=k) for k in (0, 1, 2, 3, 4, 9)] == [
        [0, 1, 2, 3], [1], [1, 3], [0, 1, 3], [0, 1, 2, 3], [0, 1, 2, 3],
    ]  # fmt: skip
    # Of the first two 0.5 is two thirds: enough for top_p = 0.6.
    assert kept(top_k=2, top_p=0.6) == [1]
    drawn = shares(SamplingConfig(temperature=1.0, top_k=2))
    np.testing.assert_allclose(drawn, [0, 2 / 3, 0, 1 / 3], atol=TOLERANCE)


@pytest.mark.parametrize("size", [1, 2, 7, 300, 70_000])
def test_rules_keep_what_sorting_keeps(size):
    """The earlier of equals first; zeros of both signs are equal, and -inf is never kept."""
    rng = np.random.default_rng(size)
    for rounded, ruled_out in itertools.product((False, True), repeat=2):
        logits = 3 * rng.normal(size=size).astype(np.float32)
        logits = np.round(logits) if rounded else logits
        logits[1:][rng.random(size - 1) < 0.3 * ruled_out] = -np.inf
        order = np.argsort(-logits, kind="stable")
        likely = np.exp(logits[order].astype(np.float64) - logits.max())
        likely /= likely.sum()
        before = np.cumsum(likely) - likely
        for top_k, top_p in ((1, 1.0), (5, 1.0), (0, 0.001), (0, 0.5), (50, 0.9)):
            all_of = np.where((np.arange(size) < top_k) | (top_k == 0), likely, 0.0)
            # Which side a token on the very edge falls to is rounding.
            edge = np.abs(before - top_p * all_of.sum()).min()
            if top_p == 1.0 or edge > 1e-6:
                some = (all_of > 0) & ((before < top_p * all_of.sum()) | (top_p == 1.0))
                found = kept(jnp.asarray(logits), top_k=top_k, top_p=top_p)
                assert found == sorted(order[some].tolist()), (rounded, ruled_out, top_k, top_p)


def test_the_repetition_penalty_divides_positive_and_multiplies_negative_logits_once():
    logits = jnp.array([2.0, -2.0, 2.0, -2.0, 0.0])
    seen = jnp.array([True, True, False, False, True])
    numbers = SamplingNumbers.of(SamplingConfig(repetition_penalty=1.25))
    penalised = sampling.penalise(logits, seen, numbers)
    np.testing.assert_allclose(penalised, [1.6, -2.5, 2.0, -2.0, 0.0], rtol=1e-7)


def test_the_presence_penalty_is_taken_off_what_has_been_said():
    logits, seen = jnp.array([2.0, -2.0, 2.0]), jnp.array([True, True, False])
    numbers = SamplingNumbers.of(SamplingConfig(presence_penalty=0.5))
    np.testing.assert_allclose(sampling.penalise(logits, seen, numbers), [1.5, -2.5, 2.0])
    turned = SamplingConfig(presence_penalty=1.5)
    assert draw(jnp.array([3.0, 2.0, 1.0]), turned, jnp.array([True, False, False])) == 1


def test_the_repetition_penalty_can_turn_a_greedy_choice():
    config = SamplingConfig(repetition_penalty=2.0)
    logits = jnp.array([3.0, 2.0, 1.0])
    assert draw(logits, config, jnp.array([True, False, False])) == 1
    assert draw(logits, config, jnp.array([True, True, False])) == 0
    assert draw(logits, config) == 0


def test_the_same_key_draws_the_same_token():
    config = SamplingConfig(temperature=1.0, top_p=0.99, min_p=0.01)
    assert len({int(draw(LOGITS, config)[0]) for _ in range(3)}) == 1


@pytest.mark.parametrize("rule", ["temperature", "top_p", "min_p", "top_h"])
def test_all_settings_run_one_program(rule):
    draw(LOGITS, SamplingConfig())
    compiled = DRAW._cache_size()
    draw(LOGITS, SamplingConfig(**{"temperature": 0.5, rule: 0.4}))
    assert DRAW._cache_size() == compiled


def test_the_log_probability_is_that_of_the_raw_logits():
    np.testing.assert_allclose(
        sampling.token_logprob(LOGITS, jnp.int32(3)), np.log(0.25), rtol=1e-6
    )
    np.testing.assert_allclose(
        sampling.token_logprob(LOGITS + 5, jnp.int32(1)), np.log(0.5), rtol=1e-6
    )
