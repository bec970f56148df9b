"""The controller's AdamW step against an independent NumPy one, and its controls."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.config import ControllerConfig
from vreason_jax.controller import controller as control
from vreason_jax.controller.numbers import ControllerNumbers
from vreason_jax.controller.value_delta import value_shift

KEY = jax.random.key(3)
SHAPE = (2, 5, 4)  # K, M, H
MASK = jnp.array([[True] * 5, [True, True, True, False, False]])


VALUES = jnp.asarray(np.random.default_rng(9).standard_normal(SHAPE), jnp.float32)
update = jax.jit(control.update, static_argnames="norm")
direction_of = jax.jit(control.random_direction, static_argnums=1)


def gradients(count, scale=1.0, seed=0):
    """dH / d delta of `count` updates, zero at padded slots as the loop's are."""
    drawn = np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)
    return scale * drawn * np.asarray(MASK)[None, :, :, None]


def train(config, entropy_gradients, alphas, mask=MASK):
    """The state and the reported gradient norms after one update per gradient."""
    heads, slots, width = entropy_gradients.shape[1:]
    values = jnp.pad(VALUES, ((0, 0), (0, slots - VALUES.shape[1]), (0, 0)))
    state, norms = control.init(heads, slots, width), []
    for gradient, alpha in zip(entropy_gradients, alphas, strict=True):
        step = jnp.asarray(gradient), jnp.float32(alpha), values, mask, KEY
        state, norm = update(state, *step, ControllerNumbers.of(config), norm="vector")
        norms.append(float(norm))
    return state, norms


def numpy_adamw(config, entropy_gradients, alphas):
    """torch.optim.AdamW after clip_grad_norm_, written out in float64."""
    delta, first, second = (np.zeros(SHAPE) for _ in range(3))
    for step, (gradient, alpha) in enumerate(zip(entropy_gradients, alphas, strict=True), start=1):
        gradient = -alpha * gradient.astype(np.float64)
        gradient *= min(1.0, config.clip_norm / np.linalg.norm(gradient))
        delta *= 1 - config.learning_rate * config.weight_decay
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        denominator = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        delta -= config.learning_rate * (first / (1 - 0.9**step)) / denominator
    return delta


def test_an_answer_begins_with_no_delta_no_average_and_no_peak():
    state = control.init(*SHAPE)
    np.testing.assert_array_equal(state.delta, np.zeros(SHAPE))
    np.testing.assert_array_equal(state.shift, np.zeros(SHAPE))
    assert state.ema == 0 and state.peak == -jnp.inf and state.delta_norm == 0
    chex.assert_type(jax.tree.leaves((state.ema, state.peak, state.delta)), jnp.float32)


def test_what_is_seen_is_the_shift_of_the_new_delta():
    state, _ = train(ControllerConfig(learning_rate=0.1), gradients(3), [1, -1, 1])
    expected = value_shift(VALUES, state.delta, MASK, "vector")
    np.testing.assert_allclose(state.shift, expected, atol=1e-6)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(state.delta_norm, np.linalg.norm(state.delta), rtol=1e-6)
    video = np.asarray(VALUES)[np.asarray(MASK)]
    np.testing.assert_allclose(state.value_norm, np.linalg.norm(video), rtol=1e-6)


def test_the_first_step_is_the_learning_rate_against_the_sign_of_the_loss_gradient():
    gradient = np.where(np.asarray(MASK)[..., None], np.sign(gradients(1)[0]) * 1e-3, 0)
    for alpha in (1.0, -1.0):
        state, _ = train(ControllerConfig(), gradient[None], [alpha])
        # eps = 1e-8 takes 1e-5 of a step whose gradient is 1e-3.
        np.testing.assert_allclose(state.delta, alpha * 3e-4 * np.sign(gradient), rtol=2e-5)


@pytest.mark.parametrize("learning_rate", [3e-4, 0.1])
def test_several_steps_equal_an_independent_adamw_with_clip(learning_rate):
    config = ControllerConfig(learning_rate=learning_rate, clip_norm=2.0)
    # Norms of about 5.7, 0.57, ...: some are clipped and some are not.
    scales = np.array([1, 0.1, 1, 0.1, 1, 1], np.float32)[:, None, None, None]
    taken, alphas = gradients(6) * scales, [1, 1, -1, -1, 1, -1]
    state, _ = train(config, taken, alphas)
    expected = numpy_adamw(config, taken, alphas)
    # Float32 holds the bias correction 1 - 0.999^t to 3e-5 of itself at t = 1, less later.
    np.testing.assert_allclose(state.delta, expected, rtol=3e-5, atol=1e-6)
    assert np.abs(expected).max() > learning_rate


def test_the_weight_decay_is_felt():
    # At lr 0.1 the decay of 0.01 takes 1e-3 of delta a step: 1e-4, far over the tolerance above.
    taken, alphas = gradients(6), [1] * 6
    decayed, _ = train(ControllerConfig(learning_rate=0.1), taken, alphas)
    free, _ = train(ControllerConfig(learning_rate=0.1, weight_decay=0.0), taken, alphas)
    assert np.abs(decayed.delta - free.delta).max() > 1e-4


def test_the_reported_norm_is_the_one_before_the_clip():
    taken = gradients(2, scale=10.0)
    _, norms = train(ControllerConfig(clip_norm=1.0), taken, [1, -1])
    expected = [np.linalg.norm(gradient) for gradient in taken]
    np.testing.assert_allclose(norms, expected, rtol=1e-6)
    assert min(norms) > 10


def test_the_clip_bounds_the_gradient_that_the_moments_see():
    state, _ = train(ControllerConfig(clip_norm=1.0), gradients(1, scale=10.0), [1])
    (first_moment,) = (s.mu for s in jax.tree.leaves(state.optimizer, is_leaf=_is_adam)
                       if _is_adam(s))  # fmt: skip
    np.testing.assert_allclose(np.linalg.norm(first_moment), 0.1, rtol=1e-6)


def _is_adam(node):
    return hasattr(node, "mu")


def test_opposite_alphas_step_in_opposite_directions():
    config = ControllerConfig(weight_decay=0.0)
    up, _ = train(config, gradients(3), [1, 1, 1])
    down, _ = train(config, gradients(3), [-1, -1, -1])
    np.testing.assert_array_equal(up.delta, -down.delta)
    assert (np.abs(up.delta).max(axis=-1) > 0)[np.asarray(MASK)].all()


def test_adamw_begins_anew_where_alpha_changes_its_sign():
    config = ControllerConfig(learning_rate=0.1, weight_decay=0.0, restart_on_flip=True)
    taken, alphas = gradients(5), [1, 1, -1, -1, 1]
    state, _ = train(config, taken, alphas)
    parts = ((taken[:2], alphas[:2]), (taken[2:4], alphas[2:4]), (taken[4:], alphas[4:]))
    expected = sum(numpy_adamw(config, *part) for part in parts)
    np.testing.assert_allclose(state.delta, expected, rtol=3e-5, atol=1e-6)
    carried, _ = train(dataclasses.replace(config, restart_on_flip=False), taken, alphas)
    assert np.abs(carried.delta - state.delta).max() > 0.05


def test_padded_slots_stay_at_zero():
    state, _ = train(ControllerConfig(learning_rate=0.1), gradients(3), [1, -1, 1])
    np.testing.assert_array_equal(state.delta[~np.asarray(MASK)], 0)


def test_a_batch_clips_every_answer_by_itself():
    config = ControllerConfig(learning_rate=0.1)
    taken = np.stack([gradients(3, scale=10.0), gradients(3, scale=0.1, seed=1)], axis=1)
    state = jax.tree.map(lambda a: jnp.stack([a, a]), control.init(*SHAPE))
    numbers = ControllerNumbers.of(config)

    def one(row, gradient, alpha):
        return control.update(row, gradient, alpha, VALUES, MASK, KEY, numbers, "vector")

    batched = jax.jit(jax.vmap(one))
    for gradient in taken:
        state, _ = batched(state, jnp.asarray(gradient), jnp.array([1.0, -1.0]))
    for row, alpha in enumerate((1, -1)):
        alone, _ = train(config, taken[:, row], [alpha] * 3)
        np.testing.assert_allclose(state.delta[row], alone.delta, atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "every", "expected"),
    [
        ("switch", 4, [4, 8, 12]),
        ("random", 5, [5, 10]),
        ("min", 1, list(range(1, 14))),
        ("frozen", 4, [4]),
    ],
)
def test_updates_fall_on_multiples_of_k_and_frozen_on_the_first_alone(objective, every, expected):
    numbers = ControllerNumbers.of(ControllerConfig(objective=objective, every=every))
    assert [t for t in range(14) if control.is_update_step(jnp.int32(t), numbers)] == expected


def test_a_random_direction_takes_the_length_of_the_trained_delta():
    config = ControllerConfig(objective="random_direction", learning_rate=0.1)
    trained, _ = train(ControllerConfig(learning_rate=0.1), gradients(3), [1, -1, 1])
    state, _ = train(config, gradients(3), [1, -1, 1])
    direction = np.asarray(direction_of(MASK, SHAPE[-1], KEY))
    seen = direction * np.linalg.norm(trained.delta)
    np.testing.assert_allclose(state.delta, trained.delta, atol=1e-6)
    np.testing.assert_allclose(state.delta_norm, trained.delta_norm, rtol=1e-6)
    expected = value_shift(VALUES, jnp.asarray(seen), MASK, "vector")
    np.testing.assert_allclose(state.shift, expected, atol=1e-6)
    np.testing.assert_array_equal(seen[~np.asarray(MASK)], 0)
    cosine = (seen * np.asarray(trained.delta)).sum() / np.linalg.norm(seen) ** 2
    assert abs(cosine) < 0.6  # 40 numbers: a standard deviation of 0.16


def test_a_random_direction_is_gaussian_and_changes_with_the_key_alone():
    mask = jnp.ones((4, 64), bool)
    direction = direction_of(mask, 32, KEY)
    unit = np.asarray(direction) * np.sqrt(direction.size)
    # 8,192 numbers: mean within 4.5 and fourth moment (3 for a Gaussian) within 5 deviations.
    assert abs(unit.mean()) < 0.05
    assert abs((unit**4).mean() - 3) < 5 * np.sqrt(96 / direction.size)
    np.testing.assert_array_equal(direction, direction_of(mask, 32, KEY))
    other = direction_of(mask, 32, jax.random.key(4))
    assert np.abs(np.asarray(direction) - np.asarray(other)).max() > 1e-3


def test_padding_a_row_does_not_change_its_random_direction():
    padded = jnp.pad(MASK, ((0, 0), (0, 4)))
    one, more = (direction_of(mask, 4, KEY) for mask in (MASK, padded))
    np.testing.assert_allclose(more[:, :5], one, rtol=1e-6)
    np.testing.assert_array_equal(more[:, 5:], 0)


def test_padding_a_row_does_not_change_its_training():
    config = ControllerConfig(learning_rate=0.1)
    state, norms = train(config, gradients(3), [1, -1, 1])
    wide = np.pad(gradients(3), ((0, 0), (0, 0), (0, 4), (0, 0)))
    padded, padded_norms = train(config, wide, [1, -1, 1], jnp.pad(MASK, ((0, 0), (0, 4))))
    np.testing.assert_allclose(padded.delta[:, :5], state.delta, atol=1e-6)
    np.testing.assert_allclose(padded_norms, norms, rtol=1e-6)
