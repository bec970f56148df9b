"""Vision tower, decoder and greedy decoding against transformers in float32, by goldens.

Tolerance: 1e-4 of the largest reference value, which float32 sums in another order stay within;
positions, windows and tokens are exact. scripts/make_goldens.py makes the goldens.
"""

import itertools
import json

import numpy as np
import pytest
from golden_cases import (
    GOLDENS,
    MESH,
    assert_close,
    blocks_in_patch_order,
    load_case,
    prepared_rows,
    prompt_states,
    reference_model,
    run_trace,
)
from reference_cases import ROWS, RULES, Video

from vreason_jax.engine.media import encode_media
from vreason_jax.model.windows import EMPTY, frame_plan
from vreason_jax.prompt.positions import prompt_positions
from vreason_jax.questions import Media, Prepared
from vreason_jax.video.patches import Patches

CASES = tuple(ROWS)
GREEDY_TOKENS = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return reference_model(tmp_path_factory.mktemp("reference"))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CASES)
def test_positions_are_transformers_exactly(name, rule):
    case, golden = load_case(name)
    for row, prepared in enumerate(prepared_rows(case, rule)):
        layout = _layout(case.rows[row], prepared.prompt.media)
        ours = prompt_positions(layout, rule=rule, tokens_per_second=2)
        real = case.attention_mask[row].astype(bool)
        np.testing.assert_array_equal(ours, golden[f"positions_{rule}"][:, row, real])
        assert ours.max() + 1 == golden[f"next_{rule}"][row]


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("name", CASES)
def test_every_vision_block_and_the_merger(model, name, kind):
    case, golden = load_case(name)
    if f"{kind}_merged" not in golden:
        assert not any((kind == "video") == isinstance(p, Video) for p in _media(case))
        return
    cuts = _cuts(case, kind)
    encoded = encode_media(model.vision, cuts, MESH)
    tokens = np.concatenate([np.asarray(block) for block in encoded.blocks])
    assert_close(np.concatenate([tokens[at] for at in encoded.index]), golden[f"{kind}_merged"])
    blocks = [blocks_in_patch_order(model.vision, cut) for cut in cuts]
    for index, parts in enumerate(zip(*blocks, strict=True)):
        assert_close(np.concatenate(parts), golden[f"{kind}_block_{index}"])


@pytest.mark.parametrize("name", CASES)
def test_windows_are_transformers_exactly(model, name):
    case, golden = load_case(name)
    for kind in ("video", "image"):
        if f"{kind}_window_index" not in golden:
            continue
        # HF lists the units window after window, and where each window ends, in patches.
        order, bounds = golden[f"{kind}_window_index"], golden[f"{kind}_window_bounds"]
        per_unit = model.config.geometry.merge**2
        theirs = {
            tuple(sorted(order[a // per_unit : b // per_unit].tolist()))
            for a, b in itertools.pairwise(bounds)
            if b > a
        }
        ours, first = set(), 0
        for cut in _cuts(case, kind):
            frames, height, width = cut.grid
            plan = frame_plan(height, width, model.config.vision)
            window = plan.window[:, ::per_unit]
            units = plan.unit_of_slot.reshape(window.shape)
            for _ in range(frames):
                for row, names in zip(units, window, strict=True):
                    for number in set(names.tolist()) - {EMPTY}:
                        ours.add(tuple(sorted((row[names == number] + first).tolist())))
                first += height * width // per_unit
        assert ours == theirs


@pytest.mark.parametrize("name", CASES)
def test_every_text_layer_and_the_logits(model, name):
    case, golden = load_case(name)
    real = case.attention_mask.astype(bool)
    layers, logits = prompt_states(model, prepared_rows(case, "max"))
    for index, hidden in enumerate(layers):
        assert_close(hidden[real], golden[f"layer_{index}"][real])
    assert_close(logits[real], golden["logits_max"][real])


@pytest.mark.parametrize("name", CASES)
def test_logits_under_the_rule_of_transformers_5_23(model, name):
    case, golden = load_case(name)
    tail = golden["logits_hf5"].shape[1]
    real = case.attention_mask.astype(bool)[:, -tail:]
    _, logits = prompt_states(model, prepared_rows(case, "hf5"))
    assert_close(logits[:, -tail:][real], golden["logits_hf5"][real])


@pytest.mark.parametrize("name", CASES)
def test_greedy_tokens_are_identical(model, name):
    case, golden = load_case(name)
    rows = prepared_rows(case, "max")
    trace = run_trace(model, rows, {"controller.objective": "none"}, GREEDY_TOKENS)
    np.testing.assert_array_equal(trace.token.T, golden["tokens"])


def test_bfloat16_is_no_farther_from_the_truth_than_torch(tmp_path_factory):
    """The yardstick is torch's own bfloat16: two bfloat16 runs differ as much from each other."""
    case, golden = load_case("video")
    rounded = reference_model(tmp_path_factory.mktemp("rounded"), "bfloat16")
    _, logits = prompt_states(rounded, prepared_rows(case, "max"))
    torch_error = json.loads((GOLDENS / "model_bfloat16.json").read_text())
    truth = golden["logits_max"]
    error = np.linalg.norm(logits - truth) / np.linalg.norm(truth)
    assert error <= 1.5 * torch_error["relative_l2"]


@pytest.mark.parametrize("change", ["zero", "shuffle"])
def test_the_pixels_and_their_order_reach_the_logits(model, change):
    case, _ = load_case("video")
    row = prepared_rows(case, "max")[0]
    cut = row.media.patches[0]
    frames = cut.values.reshape(cut.grid[0], -1)
    values = np.zeros_like(frames) if change == "zero" else frames[::-1]
    changed = Patches(np.ascontiguousarray(values).reshape(cut.values.shape), cut.grid)
    _, before = prompt_states(model, [row])
    _, after = prompt_states(model, [Prepared(row.question, Media((), (changed,)), row.prompt)])
    # A thousand times the tolerance of parity: the video is read, and in its order.
    assert np.max(np.abs(after[:, -1] - before[:, -1])) > 0.1 * np.max(np.abs(before[:, -1]))


def _layout(parts, media):
    """Runs of text, vision marks included, and media, as `prompt_positions` takes them."""
    media, layout = iter(media), []
    for part in parts:
        if isinstance(part, int):
            layout.append(part)
        else:
            layout += [1, next(media), 1]
    return layout


def _media(case):
    return [part for row in case.rows for part in row if not isinstance(part, int)]


def _cuts(case, kind):
    rows = prepared_rows(case, "max")
    pairs = [pair for row in rows for pair in zip(row.prompt.media, row.media.patches, strict=True)]
    return [cut for medium, cut in pairs if medium.kind == kind]
