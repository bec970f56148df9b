"""Which video slots Lite drops: every policy against a brute-force NumPy count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vreason_jax.config import PruneConfig
from vreason_jax.controller import prune

KEY = jax.random.key(5)
dropped_slots = jax.jit(prune.dropped_slots)
slot_scores = jax.jit(prune.slot_scores, static_argnums=2)
NO = prune.NO_VIDEO
# Row 0: three frames of 4, 4 and 3 slots. Row 1: two frames of 3 and 2, then none.
FRAMES = np.array([[0] * 4 + [1] * 4 + [2] * 3, [0] * 3 + [1] * 2 + [NO] * 6])
MASK = FRAMES != NO


def draw(seed, width=4):
    """[B, M, H], with several equal vectors, as a still clip has."""
    vectors = np.random.default_rng(seed).integers(-2, 3, (2, 11, width)).astype(np.float32)
    vectors[0, 6] = vectors[0, 2]
    vectors[1, 3] = vectors[1, 1]
    return vectors


KEYS, VALUES = draw(0), draw(1)


def dropped(config, row, keys=KEYS, values=VALUES, frames=FRAMES, key=KEY):
    """The indices of a row's dropped slots, by the code under test."""
    plan, _ = prune.plan_drops(frames, config)
    arrays = (jnp.asarray(a[row]) for a in (keys, values))
    scores = slot_scores(*arrays, config.policy, key, jnp.asarray(plan.evenly[row]))
    groups = (jnp.asarray(a[row]) for a in (plan.group, plan.group_start, plan.group_drop))
    return np.flatnonzero(dropped_slots(scores, *groups)).tolist()


def lowest(scores, members, fraction):
    """Indices of the floor(n fraction) lowest scores, of equals the first: by plain sorting."""
    ranked = sorted(members, key=lambda i: (scores[i], i))
    return sorted(ranked[: int(len(members) * fraction)])


def squares(vectors):
    return (vectors**2).sum(-1)  # whole numbers: the order of the lengths, with exact ties


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.75, 0.99])
@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize(
    ("policy", "scores"),
    [
        ("value_norm", squares(VALUES)),
        ("drop_low_key", squares(KEYS)),
        ("drop_high_key", -squares(KEYS)),
    ],
)
def test_a_norm_policy_drops_the_lowest_scores(policy, scores, row, fraction):
    members = range(MASK[row].sum())
    expected = lowest(scores[row], members, fraction)
    assert dropped(PruneConfig(fraction, policy), row) == expected


@pytest.mark.parametrize("row", [0, 1])
def test_per_frame_drops_the_same_share_of_every_temporal_patch(row):
    expected = []
    for frame in np.unique(FRAMES[row][MASK[row]]):
        members = np.flatnonzero((FRAMES[row] == frame) & MASK[row]).tolist()
        expected += lowest(squares(VALUES)[row], members, 0.5)
    assert dropped(PruneConfig(0.5, "per_frame"), row) == sorted(expected)
    assert len(expected) == {0: 2 + 2 + 1, 1: 1 + 1}[row]


def test_of_equal_tokens_the_earlier_ones_go_first():
    still = np.ones((2, 11, 4), np.float32)
    for policy in ("value_norm", "drop_low_key", "drop_high_key"):
        assert dropped(PruneConfig(0.5, policy), 0, still, still) == [0, 1, 2, 3, 4]
    assert dropped(PruneConfig(0.5, "per_frame"), 0, still, still) == [0, 1, 4, 5, 8]


def test_uniform_drops_evenly_spaced_slots():
    assert dropped(PruneConfig(0.5, "uniform"), 0) == [1, 3, 5, 7, 9]
    assert dropped(PruneConfig(0.4, "uniform"), 1) == [1, 3]
    for size in range(1, 40):
        for fraction in (0.1, 0.25, 0.5, 0.9):
            config = PruneConfig(fraction, "uniform")
            plan, _ = prune.plan_drops(np.zeros((1, size), int), config)
            slots = np.flatnonzero(plan.evenly[0] == 0)
            assert len(slots) == int(size * fraction)
            gaps = np.diff([*slots, slots[0] + size]) if len(slots) else np.zeros(1)  # once round
            assert gaps.max() - gaps.min() <= 1


def test_random_drops_the_right_count_whatever_the_cache_holds():
    config = PruneConfig(0.5, "random")
    one = dropped(config, 0)
    assert len(one) == 5
    assert dropped(config, 0, 2 - KEYS, 3 * VALUES) == one
    assert any(dropped(config, 0, key=jax.random.key(k)) != one for k in range(3))


def test_random_drops_every_token_equally_often():
    config = PruneConfig(0.5, "random")
    plan, _ = prune.plan_drops(FRAMES, config)
    groups = [jnp.asarray(a[0]) for a in (plan.group, plan.group_start, plan.group_drop)]

    def one(key):
        scores = prune.slot_scores(KEYS[0], VALUES[0], "random", key, None)
        return prune.dropped_slots(scores, *groups)

    share = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, 500))).mean(axis=0)
    np.testing.assert_allclose(share, 5 / 11, atol=0.1)  # 4.5 deviations of 500 draws


@pytest.mark.parametrize("policy", ["value_norm", "random", "uniform", "per_frame"])
def test_padding_a_row_does_not_change_what_it_drops(policy):
    config = PruneConfig(0.5, policy)
    wide = [np.pad(a, ((0, 0), (0, 3), (0, 0)), constant_values=9) for a in (KEYS, VALUES)]
    frames = np.pad(FRAMES, ((0, 0), (0, 3)), constant_values=NO)
    for row in (0, 1):
        assert dropped(config, row, *wide, frames) == dropped(config, row)


@pytest.mark.parametrize(
    ("fraction", "policy", "drops"),
    [(0.5, "value_norm", [5, 2]), (0.5, "per_frame", [5, 2]), (0.34, "uniform", [3, 1]),
     (0.0, "random", [0, 0]), (0.3, "per_frame", [2, 0])],
)  # fmt: skip
def test_the_counts_are_the_floor_of_the_fraction_in_every_group(fraction, policy, drops):
    _, lost = prune.plan_drops(FRAMES, PruneConfig(fraction, policy))
    np.testing.assert_array_equal(lost, drops)
    for row, count in enumerate(drops):
        assert len(dropped(PruneConfig(fraction, policy), row)) == count


def test_a_row_without_video_drops_nothing():
    frames = np.array([[0] * 4, [NO] * 4])
    for policy in ("value_norm", "per_frame", "uniform"):
        config = PruneConfig(0.5, policy)
        _, lost = prune.plan_drops(frames, config)
        np.testing.assert_array_equal(lost, [2, 0])
        vectors = np.zeros((2, 4, 2), np.float32)
        assert dropped(config, 1, vectors, vectors, frames) == []


def test_the_kept_slots_stay_in_order_and_stand_at_the_front():
    keep = jnp.array([False, True, True, False, True, False])
    np.testing.assert_array_equal(prune.kept_slots(keep, 4), [1, 2, 4, 0])
    np.testing.assert_array_equal(prune.kept_slots(keep, 6), [1, 2, 4, 0, 3, 5])
