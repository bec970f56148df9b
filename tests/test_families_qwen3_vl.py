"""Qwen3-VL's files, media and prompts; what it computes: tests/test_families_parity.py."""

import dataclasses
import json

import family_checkpoints
import jax
import numpy as np
import pytest
from family_cases import CASES, RATE
from family_questions import AS_TRANSFORMERS, golden_of
from golden_cases import GOLDENS
from jax.sharding import AxisType
from safetensors.numpy import load_file, save_file

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig, VideoConfig
from vreason_jax.convert.__main__ import main as convert
from vreason_jax.engine.engine import Engine
from vreason_jax.engine.rows import PromptRows
from vreason_jax.errors import UserError
from vreason_jax.families import registry
from vreason_jax.families.qwen3_vl import FAMILY
from vreason_jax.families.qwen3_vl.config import interleaved
from vreason_jax.families.registry import model_config_from_hf, read_model_config
from vreason_jax.geometry import Geometry
from vreason_jax.questions import Question, VideoArray
from vreason_jax.runtime.checkpoint import load_arrays
from vreason_jax.runtime.names import expected_tensors
from vreason_jax.settings import apply_overrides
from vreason_jax.video.preprocessing import Preprocessing
from vreason_jax.video.resize import PixelLimits
from vreason_jax.video.sampling import sample_frames
from vreason_jax.video.timeline import Timeline

CLIP = VideoConfig(sizing="clip")
SIZES = {
    "qwen3vl-2b": (625, 2_127_532_032),
    "qwen3vl-4b": (713, 4_437_815_808),
    "qwen3vl-8b": (750, 8_767_123_696),
    "qwen3vl-32b": (1058, 33_357_390_064),
    "qwen2vl-2b": (729, 2_208_985_600),
    "qwen2vl-7b": (730, 8_291_375_616),
    "qwen2vl-72b": (1354, 73_405_560_320),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return family_checkpoints.write(tmp_path_factory.mktemp("qwen3_vl"))


@pytest.mark.parametrize("name", SIZES)
def test_published_models_have_as_many_tensors_and_parameters_as_their_files(name):
    tensors = expected_tensors(registry.published_config(name)).values()
    assert (len(tensors), sum(int(np.prod(t.shape)) for t in tensors)) == SIZES[name]


def test_rope_axes_take_turns_while_height_and_width_last():
    assert interleaved([24, 20, 20]) == (0, 1, 2) * 20 + (0,) * 4
    assert interleaved([3, 3, 2]) == (0, 1, 2, 0, 1, 2, 0, 1)


def test_the_facts_of_a_model_whose_heads_are_no_share_of_its_width():
    config = model_config_from_hf(family_checkpoints.qwen3_vl("hub", False, "bfloat16"))
    text = config.text
    assert (text.head_width, text.qk_norm, text.qkv_bias, text.stacked) == (16, True, False, 3)
    assert config.geometry == Geometry(patch_pixels=4, merge=2, temporal_patch=2)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model_type", "qwen3_vl_moe", "expected model_type .* got 'qwen3_vl_moe'"),
        ("quantization_config", {"quant_method": "fp8"}, "unquantised weights, .* of 'fp8'"),
        ("quantization_config", {"quant_method": "awq"}, "unquantised weights, .* of 'awq'"),
        ("text_config.rope_scaling.rope_type", "yarn", "rope type .* got 'yarn'"),
        ("text_config.rope_scaling.mrope_interleaved", False, "mrope_interleaved true, got False"),
        ("text_config.rope_scaling.mrope_section", None, "mrope_section, which is missing"),
        ("text_config.head_dim", None, "text_config.head_dim, which is missing"),
        ("text_config.rope_theta", None, "text_config.rope_theta, which is missing"),
        ("text_config.attention_bias", True, "attention_bias false, got True"),
        ("text_config.num_hidden_layers", 3, "more layers than deepstack_visual_indexes, got 3"),
        ("vision_config.deepstack_visual_indexes", [0, 9], "deepstack_visual_indexes of 4 blocks"),
        ("vision_config.hidden_act", "silu", "vision hidden_act 'gelu_pytorch_tanh', got 'silu'"),
        ("vision_config.out_hidden_size", 40, "out_hidden_size 48, got 40"),
    ],
)
def test_what_cannot_run_is_told_in_one_line(path, value, message):
    values = json.loads(json.dumps(family_checkpoints.qwen3_vl("hub", False, "bfloat16")))
    *sections, key = path.split(".")
    part = values
    for section in sections:
        part = part[section]
    part[key] = value
    with pytest.raises(UserError, match=message) as caught:
        model_config_from_hf(values)
    assert "\n" not in str(caught.value)


def test_a_save_without_the_head_has_the_same_weights(tmp_path):
    """transformers' base model drops what names begin with."""
    tied = family_checkpoints.write(tmp_path / "tied", tied=True)
    config, before = load_arrays(tied, read_model_config(tied), None)
    tensors = load_file(tied / "model.safetensors")
    renamed = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(renamed, tied / "model.safetensors", metadata={"format": "pt"})
    _, after = load_arrays(tied, config, None)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[path], after[path]) for path in before)


def test_a_round_trip_gives_the_same_bytes(folder, tmp_path):
    for source, target in ((folder, tmp_path / "orbax"), (tmp_path / "orbax", tmp_path / "back")):
        assert convert(["--from", str(source), "--to", str(target)]) == 0
    before, after = (load_file(f / "model.safetensors") for f in (folder, tmp_path / "back"))
    assert before.keys() == after.keys()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_frames_are_those_that_transformers_chooses():
    rows = json.loads((GOLDENS / "qwen3_vl_media.json").read_text())["frames"]
    assert len(rows) > 50 and any(len(indices) % 2 for *_, indices in rows)
    for total, rate, count, indices in rows:
        config = dataclasses.replace(CLIP, num_frames=count)
        sample = sample_frames(Timeline.even(total, rate), config, 2)
        assert sample.indices.tolist() == indices, (total, rate, count)


def test_a_clip_becomes_as_large_as_transformers_has_it_by_the_published_limits():
    rows = json.loads((GOLDENS / "qwen3_vl_media.json").read_text())["sizes"]
    cut = Geometry(patch_pixels=16, merge=2, temporal_patch=2)
    sizing = Preprocessing.without_files(cut, FAMILY.media).video_sizing(CLIP)
    assert sizing.limits == PixelLimits(4096, 25_165_824), "never the library's class defaults"
    for frames, height, width, *sides in rows:
        assert list(sizing.sides(height, width, frames)) == sides, (frames, height, width)


def test_files_limit_clips_and_frames_have_the_familys_own_limits(folder):
    found = Checkpoint.open(folder).preprocessing
    assert found.video_sizing(CLIP).limits == PixelLimits(128, 2_097_152)
    assert found.video_sizing(VideoConfig()).limits == PixelLimits(128 * 64, 256 * 64)


def test_whole_clips_are_no_measure_for_other_families():
    first = registry.FAMILIES["qwen2_5_vl"].media
    with pytest.raises(UserError, match=r"video\.sizing: expected frame, got clip"):
        Preprocessing.without_files(Geometry(14, 2, 2), first).video_sizing(CLIP)


def prepare(folder, frames, **keys):
    run = apply_overrides(RunConfig(), keys or AS_TRANSFORMERS)
    question = Question((VideoArray(frames, RATE),), CASES["video"][0].words)
    return Checkpoint.open(folder).prepare(question, run)


def test_the_time_of_a_patch_is_the_middle_of_its_frames_and_a_last_one_stands_twice(folder):
    row = prepare(folder, CASES["video"][0].pixels()[0])
    np.testing.assert_allclose(row.prompt.media[0].times, [0.2, 1.0, 1.6])
    text = Checkpoint.open(folder).tokenizer.decode(row.prompt.token_ids)
    assert "<0.2 seconds>" in text and "<1.0 seconds>" in text and "<1.6 seconds>" in text


def test_timestamps_are_neither_steered_nor_pruned(folder):
    """Both go by the temporal patch of a slot, which words do not have."""
    row = prepare(folder, CASES["video"][0].pixels()[0])
    (slots,) = PromptRows.of([row.prompt]).frame_of_slot(len(row.prompt.token_ids))
    np.testing.assert_array_equal(slots >= 0, row.prompt.token_types == 2)
    starts = np.flatnonzero(np.diff(slots >= 0, prepend=False))
    assert len(starts) == 6, "three runs, with words between them"
    assert np.unique(slots[slots >= 0], return_counts=True)[1].tolist() == [15, 15, 15]


def test_thinking_begins_in_the_prompt_where_the_template_says_so(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = family_checkpoints.WITHOUT_SYSTEM.replace("assistant\\n'", "assistant\\n<think>\\n'")
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    row = prepare(tmp_path, CASES["video"][0].pixels()[0])
    said = Checkpoint.open(tmp_path).tokenizer.decode(row.prompt.token_ids)
    assert said.endswith("assistant\n<think>\n")


@pytest.mark.skipif(jax.device_count() < 4, reason="needs 4 devices: tests/conftest.py fakes them")
def test_four_devices_answer_as_one_does(folder):
    """Each key/value head lies on two of them; its norms lie whole on all."""
    mesh = jax.make_mesh((1, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    run = apply_overrides(
        RunConfig(),
        {**AS_TRANSFORMERS, "controller.objective": "none", "sampling.max_new_tokens": 6},
    )
    checkpoint = Checkpoint.open(folder)
    engine = Engine.load(checkpoint, run.model, mesh)
    (answer,) = engine.answer(engine.read([prepare(folder, CASES["video"][0].pixels()[0])], 6), run)
    expected = golden_of("qwen3_vl", "video")["tokens"][0]
    length = len(answer.tokens.token)
    np.testing.assert_array_equal(answer.tokens.token, expected[:length])
