"""EMA, peak and alpha: hand-drawn curves, every objective, and where the branch is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.config import ControllerConfig
from vreason_jax.controller import controller as control
from vreason_jax.controller import switching
from vreason_jax.controller.numbers import ControllerNumbers

KEYS = jax.random.split(jax.random.key(0), 400)
OBSERVE = jax.jit(control.observe)


def follow(entropies, config):
    """EMA, peak and alpha of an entropy curve, one token after the other."""
    state = control.init(1, 1, 2)
    rows = []
    for step, entropy in enumerate(entropies):
        now = jnp.float32(entropy), jnp.int32(step), jnp.float32(1)
        state, alpha = OBSERVE(state, *now, ControllerNumbers.of(config))
        rows.append((float(state.ema), float(state.peak), float(alpha)))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def alphas(entropies, config):
    return follow(entropies, config)[2].tolist()


def test_the_average_starts_from_zero_without_bias_correction():
    ema, _, _ = follow([1.0, 2.0, 4.0], ControllerConfig(ema_decay=0.5))
    np.testing.assert_array_equal(ema, [0.5, 1.25, 2.625])  # exact in binary


def test_the_average_starts_from_the_first_entropy_when_told_so():
    ema, _, _ = follow([1.0, 2.0, 4.0], ControllerConfig(ema_decay=0.5, ema_init="first"))
    np.testing.assert_array_equal(ema, [1.0, 1.5, 2.75])


def test_the_default_decay_is_the_papers():
    ema, _, _ = follow([1.0, 0.0], ControllerConfig())
    np.testing.assert_allclose(ema, [0.02, 0.0196], rtol=1e-6)  # float32 rounding


def test_ema_peak_and_alpha_switch_on_a_hand_drawn_curve():
    ema, peak, alpha = follow([4, 8, 0, 0, 14, 2, 20], ControllerConfig(ema_decay=0.5))
    np.testing.assert_array_equal(ema, [2, 5, 2.5, 1.25, 7.625, 4.8125, 12.40625])
    np.testing.assert_array_equal(peak, [2, 5, 5, 5, 7.625, 7.625, 12.40625])
    np.testing.assert_array_equal(alpha, [1, 1, -1, -1, 1, -1, 1])


def test_a_constant_curve_explores_for_ever():
    # From the first entropy on the average equals its peak: only `>=` before the refresh gives +1.
    config = ControllerConfig(ema_decay=0.5, ema_init="first")
    assert alphas([3.0] * 5, config) == [1.0] * 5


def test_a_falling_curve_exploits_from_the_second_token_on():
    config = ControllerConfig(ema_decay=0.5, ema_init="first")
    assert alphas([8.0, 4.0, 2.0, 1.0], config) == [1.0, -1.0, -1.0, -1.0]


CURVE = [4, 8, 0, 0, 14, 2]


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("switch", [1, 1, -1, -1, 1, -1]),
        ("frozen", [1, 1, -1, -1, 1, -1]),
        ("random_direction", [1, 1, -1, -1, 1, -1]),
        ("inverted", [-1, -1, 1, 1, -1, 1]),
        ("min", [-1] * 6),
        ("max", [1] * 6),
        ("none", [0] * 6),
    ],
)
def test_alpha_of_each_objective(objective, expected):
    assert alphas(CURVE, ControllerConfig(objective=objective, ema_decay=0.5)) == expected


def test_every_objective_observes_the_same_average_and_peak():
    plain = follow(CURVE, ControllerConfig(objective="none"))
    for objective in ("switch", "min", "inverted", "random"):
        other = follow(CURVE, ControllerConfig(objective=objective))
        np.testing.assert_array_equal(other[:2], plain[:2])


def coins(rate):
    numbers = ControllerNumbers.of(ControllerConfig(random_rate=rate))
    return np.asarray(jax.vmap(lambda key: switching.coin(key, numbers))(KEYS))


@pytest.mark.parametrize("coin", [1.0, -1.0])
def test_the_random_alpha_is_the_coin_alone(coin):
    numbers = ControllerNumbers.of(ControllerConfig(objective="random"))
    for switched in (1.0, -1.0):
        assert switching.objective_alpha(jnp.float32(switched), jnp.float32(coin), numbers) == coin


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.8, 1.0])
def test_the_random_coin_explores_at_its_rate(rate):
    share = (coins(rate) == 1).mean()
    # Four standard deviations of a mean of 400 coins.
    assert abs(share - rate) <= 4 * np.sqrt(rate * (1 - rate) / 400)


def primitives(function, *args):
    return {str(e.primitive) for e in jax.make_jaxpr(function)(*args).jaxpr.eqns}


def test_alpha_is_a_branch_for_one_answer_and_a_select_for_a_batch():
    one = primitives(switching.switch, jnp.float32(1), jnp.float32(2))
    many = primitives(jax.vmap(switching.switch), jnp.ones(3), jnp.ones(3))
    assert "cond" in one
    assert "cond" not in many and "select_n" in many
