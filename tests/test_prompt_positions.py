import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vreason_jax.prompt.positions import Medium, medium_positions, next_position, prompt_positions


def positions(layout, rule, tokens_per_second=2):
    return prompt_positions(layout, rule=rule, tokens_per_second=tokens_per_second)


def rows(text):
    return [[int(word) for word in line.split()] for line in text.strip().splitlines()]


@pytest.mark.parametrize("rule", ["max", "hf5"])
def test_short_video_is_the_same_under_both_rules(rule):
    """Worked by hand: 2 text, vision_start, 2x2x3 video tokens, vision_end, 3 text."""
    got = positions([3, Medium("video", (2, 2, 3), 1.0), 4], rule)
    want = rows("""
        0 1 2  3 3 3 3 3 3 5 5 5 5 5 5  6 7 8 9
        0 1 2  3 3 3 4 4 4 3 3 3 4 4 4  6 7 8 9
        0 1 2  3 4 5 3 4 5 3 4 5 3 4 5  6 7 8 9
    """)
    assert got.tolist() == want
    assert next_position(got) == 10


@pytest.mark.parametrize(
    ("rule", "text", "following"), [("max", [15, 16, 17, 18], 19), ("hf5", [6, 7, 8, 9], 15)]
)
def test_long_video_tells_the_rules_apart(rule, text, following):
    """Six temporal patches, two positions apart, on 2x2 tokens: time outgrows space."""
    got = positions([4, Medium("video", (6, 2, 2), 1.0), 4], rule)
    assert got[0, 4:28].tolist() == [4] * 4 + [6] * 4 + [8] * 4 + [10] * 4 + [12] * 4 + [14] * 4
    assert got[1, 4:28].tolist() == [4, 4, 5, 5] * 6
    assert got[2, 4:28].tolist() == [4, 5, 4, 5] * 6
    assert got[:, 28:].tolist() == [text] * 3
    assert next_position(got) == following


@pytest.mark.parametrize(
    ("rule", "text", "following"), [("max", [8, 9, 10], 11), ("hf5", [6, 7, 8], 9)]
)
def test_half_second_patches_advance_by_one(rule, text, following):
    got = positions([4, Medium("video", (4, 2, 2), 0.5), 3], rule)
    assert got[0, 4:20].tolist() == [4] * 4 + [5] * 4 + [6] * 4 + [7] * 4
    assert got[:, 20:].tolist() == [text] * 3
    assert next_position(got) == following


@pytest.mark.parametrize(("rule", "resume", "following"), [("max", 143, 155), ("hf5", 34, 143)])
def test_long_clip_resumes_where_the_releases_of_transformers_do(rule, resume, following):
    """64 patches of 20x36 at 1 s after 16 text tokens; 12 text tokens follow.

    Under max the largest position is 16 + 2 * 63 = 142, and the twelve end at 154.
    """
    got = positions([16, Medium("video", (64, 10, 18), 1.0), 12], rule)
    assert got[0, -12] == resume
    assert next_position(got) == following


def test_image_steps_by_one_whatever_its_seconds():
    got = positions([1, Medium("image", (1, 2, 4), 9.0), 1], "max", tokens_per_second=50)
    assert got.tolist() == rows("""
        0  1 1 1 1 1 1 1 1  5
        0  1 1 1 1 2 2 2 2  5
        0  1 2 3 4 1 2 3 4  5
    """)


def test_temporal_steps_are_truncated_float32_products():
    """30 fps sampled at 3: 2/3 s, 4/3 positions a patch. Products are cut, not their step."""
    medium = Medium("video", (7, 1, 1), 2 / 3)
    assert medium_positions(medium, 2)[0].tolist() == [0, 1, 2, 4, 5, 6, 8]
    # 0.29 * 100 is 28.999999999999996 in float64, exactly 29 in float32.
    assert medium_positions(Medium("video", (101, 1, 1), 0.29), 1)[0][100] == 29
    assert int(100 * 0.29) == 28


def brute_force(layout, rule, tokens_per_second):
    """Token by token, with Python numbers and float32 only where the model has it."""
    out, p = [], 0
    for part in layout:
        if isinstance(part, int):
            out += [(p + i, p + i, p + i) for i in range(part)]
            p += part
            continue
        t, h, w = part.grid
        step = np.float32(tokens_per_second) * np.float32(part.second_per_grid)
        step = step if part.kind == "video" else np.float32(1)
        own = [
            (p + int(np.float32(k) * step), p + row, p + column)
            for k in range(t)
            for row in range(h)
            for column in range(w)
        ]
        out += own
        p = max(map(max, own)) + 1 if rule == "max" else p + max(h, w)
    return np.array(out, dtype=np.int64).reshape(-1, 3).T


def random_layout(rng):
    layout: list = [rng.randrange(1, 20)]
    for _ in range(rng.randrange(4)):
        kind = rng.choice(["video", "image"])
        frames = rng.randrange(1, 12) if kind == "video" else 1
        grid = (frames, rng.randrange(1, 6), rng.randrange(1, 6))
        layout += [Medium(kind, grid, 2 / rng.uniform(0.1, 8)), rng.randrange(1, 20)]
    return layout


SIDES = st.integers(1, 6)
MEDIA = st.one_of(
    st.builds(
        Medium,
        st.just("video"),
        st.tuples(st.integers(1, 12), SIDES, SIDES),
        st.floats(0, 40, width=32),
    ),
    st.builds(Medium, st.just("image"), st.tuples(st.just(1), SIDES, SIDES)),
)
LAYOUTS = st.lists(st.integers(0, 20) | MEDIA, min_size=1, max_size=7)
RULES = st.sampled_from(["max", "hf5"])
RATES = st.sampled_from([1, 2, 4, 2.5, 25])


@given(LAYOUTS, RULES, RATES)
def test_positions_equal_a_count_token_by_token(layout, rule, rate):
    got = positions(layout, rule, rate)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, brute_force(layout, rule, rate))


@given(LAYOUTS, RULES, RATES, st.integers(1, 20))
def test_what_follows_moves_nothing_that_comes_before(layout, rule, rate, text):
    whole = positions([*layout, text], rule, rate)
    np.testing.assert_array_equal(whole[:, :-text], positions(layout, rule, rate))
    assert next_position(whole) > whole[:, -1].max()
    if rule == "max":
        assert (np.diff(whole.max(axis=0))[-text:] == 1).all() or whole.shape[1] == text
        assert next_position(whole) == whole[0, -1] + 1


def in_patches(medium):
    t, h, w = medium.grid
    return t, 2 * h, 2 * w


def test_hf5_equals_transformers_get_rope_index():
    torch = pytest.importorskip("torch", reason="needs torch: pip install vreason-jax[parity]")
    from types import SimpleNamespace

    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

    vision = SimpleNamespace(spatial_merge_size=2, tokens_per_second=2)
    model = SimpleNamespace(
        config=SimpleNamespace(vision_config=vision),
        get_vision_position_ids=lambda *a, **k: Qwen2_5_VLModel.get_vision_position_ids(
            None, *a, **k
        ),
    )
    rng = random.Random(1)
    for _ in range(50):
        layout = random_layout(rng)
        media = [part for part in layout if isinstance(part, Medium)]
        types = [
            (1 if part.kind == "image" else 2, part.token_count)
            if isinstance(part, Medium)
            else (0, part)
            for part in layout
        ]
        types = torch.tensor([[kind for kind, count in types for _ in range(count)]])
        videos = [m for m in media if m.kind == "video"]
        want, delta = Qwen2_5_VLModel.get_rope_index(
            model,
            types,
            types,
            image_grid_thw=torch.tensor([in_patches(m) for m in media if m.kind == "image"]),
            video_grid_thw=torch.tensor([in_patches(m) for m in videos]),
            second_per_grid_ts=torch.tensor([m.second_per_grid for m in videos]),
        )
        got = positions(layout, "hf5")
        np.testing.assert_array_equal(got, want[:, 0].numpy())
        assert next_position(got) == types.shape[1] + int(delta)


@pytest.mark.parametrize(
    ("kind", "grid", "seconds"),
    [
        ("audio", (1, 2, 2), 1.0),
        ("video", (0, 2, 2), 1.0),
        ("video", (1, 2, 0), 1.0),
        ("video", (1, 2, 2), float("nan")),
    ],
)
def test_impossible_media_are_refused(kind, grid, seconds):
    with pytest.raises(ValueError, match="Medium"):
        Medium(kind, grid, seconds)


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="hf5"):
        positions([1], "hf4")
