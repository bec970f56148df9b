"""The families beside the first against transformers 5.24 in float32, from frames to tokens.

Tolerance: 1e-4 of the largest reference value; ids, positions and tokens are exact.
scripts/make_family_goldens.py makes the goldens, by transformers' own processor and model.
"""

import dataclasses
import json

import family_checkpoints
import jax.numpy as jnp
import numpy as np
import pytest
from family_cases import CASES, RATE, TOKENS
from family_questions import AS_TRANSFORMERS, KEYS, golden_of, load, prepared
from flax import nnx
from golden_cases import (
    GOLDENS,
    assert_close,
    blocks_in_patch_order,
    engine_of,
    prompt_states,
    run_trace,
)

from vreason_jax.families.registry import model_config_from_hf
from vreason_jax.model import rope
from vreason_jax.prompt.positions import Medium
from vreason_jax.questions import Media

EVERY = [(family, case) for family in KEYS for case in CASES]
WITH_MEDIA = [pair for pair in EVERY if pair[1] != "text"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The tiny checkpoint of each family."""
    return {name: family_checkpoints.write(tmp_path_factory.mktemp(name), name) for name in KEYS}


@pytest.fixture(scope="module")
def models(folders):
    return {name: load(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def questions(folders, tmp_path_factory):
    """Each case of each family, as the package's own way from frames to prompts prepares it."""
    place = tmp_path_factory.mktemp("images")
    return {(family, case): prepared(folders[family], case, place, **KEYS[family])
            for family, case in EVERY}  # fmt: skip


@pytest.mark.parametrize(("family", "case"), [*EVERY, ("qwen3_vl", "video_tight")])
def test_prompts_and_positions_are_transformers_exactly(questions, folders, tmp_path, family, case):
    rows, golden = questions.get((family, case)), golden_of(family, case)
    if rows is None:  # the default, which transformers had until 5.9
        rows = prepared(folders[family], "video", tmp_path, **{"video.sizing": "clip"})
    for number, row in enumerate(rows):
        real = golden["attention_mask"][number].astype(bool)
        np.testing.assert_array_equal(row.prompt.token_ids, golden["token_ids"][number, real])
        np.testing.assert_array_equal(row.prompt.positions, golden["positions"][:, number, real])
        assert row.prompt.next_position == golden["next"][number]


@pytest.mark.parametrize(("family", "case"), WITH_MEDIA)
@pytest.mark.parametrize("kind", ["video", "image"])
def test_pixels_blocks_and_mergers(models, questions, family, case, kind):
    golden, model = golden_of(family, case), models[family]
    cuts = cuts_of(questions[family, case], kind)
    assert bool(cuts) == (f"{kind}_merged" in golden)
    if not cuts:
        return
    assert [list(cut.grid) for cut in cuts] == golden[f"{kind}_grids"].tolist()
    pixels = np.concatenate([cut.normalised() for cut in cuts])
    np.testing.assert_allclose(pixels, golden[f"{kind}_pixels"], atol=1e-6)
    rows = [row for row in questions[family, case] if row.media.patches]
    blocks, index = engine_of(model).encode(rows)
    of_kind = [row.prompt.token_types[row.prompt.token_types > 0] == (2 if kind == "video" else 1)
               for row in rows]  # fmt: skip
    merged = np.concatenate([np.asarray(block) for block in blocks])
    chosen = np.concatenate([i[k] for i, k in zip(index, of_kind, strict=True)])
    assert_close(merged[chosen], golden[f"{kind}_merged"])
    outputs = [blocks_in_patch_order(model.vision, cut) for cut in cuts]
    for number, parts in enumerate(zip(*outputs, strict=True)):
        assert_close(np.concatenate(parts), golden[f"{kind}_block_{number}"])


@pytest.mark.parametrize(("family", "case"), EVERY)
def test_every_text_layer_and_the_logits(models, questions, family, case):
    golden = golden_of(family, case)
    real = golden["attention_mask"].astype(bool)
    layers, logits = prompt_states(models[family], questions[family, case])
    for number, hidden in enumerate(layers):
        assert_close(hidden[real], golden[f"layer_{number}"][real])
    assert_close(logits[real], golden["logits"][real])


@pytest.mark.parametrize(("family", "case"), EVERY)
def test_greedy_tokens_are_identical(models, questions, family, case):
    trace = run_trace(
        models[family], questions[family, case], {"controller.objective": "none"}, TOKENS
    )
    np.testing.assert_array_equal(trace.token.T, golden_of(family, case)["tokens"])


@pytest.mark.parametrize("family", KEYS)
def test_bfloat16_is_no_farther_from_the_truth_than_torch(folders, questions, family):
    _, logits = prompt_states(load(folders[family], "bfloat16"), questions[family, "video"])
    torch_error = json.loads((GOLDENS / f"{family}_bfloat16.json").read_text())
    truth = golden_of(family, "video")["logits"]
    error = np.linalg.norm(logits - truth) / np.linalg.norm(truth)
    assert error <= 1.5 * torch_error["relative_l2"]


CHANGES = ("zero", "shuffle", "times", "wrapper", "contiguous", "stacked", "positions")


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_model_is_made_of_reaches_the_logits(
    models, questions, folders, tmp_path, monkeypatch, change
):
    """A hundred times the tolerance of parity: whoever drops one of these fails above."""
    model, (row,) = models["qwen3_vl"], questions["qwen3_vl", "video"]
    _, before = prompt_states(model, [row])
    (cut,) = row.media.patches
    frames = cut.values.reshape(cut.grid[0], -1)
    if change in ("zero", "shuffle"):
        values = np.full_like(frames, 128) if change == "zero" else frames[::-1]
        values = np.ascontiguousarray(values).reshape(cut.values.shape)
        row = dataclasses.replace(row, media=Media((), (dataclasses.replace(cut, values=values),)))
    elif change == "times":
        (row,) = prepared(folders["qwen3_vl"], "video", tmp_path, RATE / 3, **AS_TRANSFORMERS)
    elif change == "wrapper":
        (row,) = prepared(folders["qwen3_vl"], "video", tmp_path, **{"video.sizing": "clip"})
    elif change == "contiguous":
        text_rope = rope.text_rope
        monkeypatch.setattr(
            rope, "text_rope", lambda *a: text_rope(*a[:3], tuple(sorted(a[3])), a[4])
        )
    else:
        model = without(model, change)
    _, after = prompt_states(model, [row])
    assert np.max(np.abs(after[:, -1] - before[:, -1])) > 0.01 * np.max(np.abs(before[:, -1]))


def without(model, part):
    """The model with zeros for the tower's parameters of a name."""
    graph, state = nnx.split(model)
    flat = [
        (path, leaf.replace(jnp.zeros_like(leaf[...])) if path[:2] == ("vision", part) else leaf)
        for path, leaf in nnx.to_flat_state(state)
    ]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def cuts_of(rows, kind):
    pairs = [pair for row in rows for pair in zip(row.prompt.media, row.media.patches, strict=True)]
    return [cut for medium, cut in pairs if medium.kind == kind]


def test_timestamps_are_no_video_tokens(questions):
    """So they are neither steered nor pruned: both go by the video tokens alone."""
    (row,) = questions["qwen3_vl", "video"]
    (video,) = row.prompt.media
    assert isinstance(video, Medium) and video.grid == (3, 3, 5)
    runs = np.flatnonzero(np.diff(row.prompt.token_types == 2, prepend=0, append=0))
    lengths = runs[1::2] - runs[::2]
    assert lengths.tolist() == [15, 15, 15]


@pytest.mark.parametrize("family", KEYS)
def test_both_layouts_of_config_give_the_same_facts(family):
    hub, nested = (
        model_config_from_hf(family_checkpoints.CONFIGS[family](layout, True, "bfloat16"))
        for layout in ("hub", "nested")
    )
    assert hub == nested and hub.text.tied
