"""Training: what it learns from, that it learns, that it goes on, and what it leaves behind."""

import collections
import io
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_cases import prompt_states
from patches_of_14 import GEOMETRY

from vreason_jax.convert.conversion import convert
from vreason_jax.errors import UserError
from vreason_jax.families.registry import family_of, read_model_config
from vreason_jax.model.windows import frame_plan
from vreason_jax.prompt.chat import VIDEO_TOKEN, Prompt
from vreason_jax.prompt.positions import Medium
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.questions import Media, Prepared, Question
from vreason_jax.runtime.checkpoint import build_model, load_arrays, load_model
from vreason_jax.runtime.names import join_all
from vreason_jax.runtime.tensor_files import SINGLE
from vreason_jax.shapes import KINDS, sample
from vreason_jax.shapes.description import question_in_words, text_row
from vreason_jax.shapes.sample import sample_text
from vreason_jax.training import loop, snapshots
from vreason_jax.training.batches import BatchMaker, batches_ahead
from vreason_jax.training.config import TrainConfig, differences, load_train_config, train_config
from vreason_jax.training.loss import Batch, reply_logits
from vreason_jax.training.optimizer import initial_parameters, learning_rate
from vreason_jax.training.plan import batch_order, picks
from vreason_jax.video.patches import Patches, patchify

ROOT = Path(__file__).parents[1]
TINY = {
    "model": {
        "text_layers": 2,
        "text_width": 32,
        "text_mlp_width": 48,
        "heads": 2,
        "kv_heads": 1,
        "mrope_section": [3, 2, 3],
        "vision_depth": 2,
        "vision_width": 16,
        "vision_mlp_width": 24,
        "vision_heads": 2,
    },
    "data": {"batch": 4, "buffer": 2, "reply_multiple": 240},  # one length: one program
    "optimizer": {"learning_rate": 0.01, "adam_learning_rate": 0.01},
    "run": {
        "steps": 5,
        "save_every": 2,
        "validate_every": 3,
        "validate_questions": 8,
        "validate_batch": 4,
        "max_new_tokens": 8,
        "dtype": "float32",
    },
}


def tiny(family="qwen2_5_vl", shown="video", **run) -> TrainConfig:
    model = {**TINY["model"], "family": family}
    data = {**TINY["data"], "prompt_tokens": 240, "shown": shown}
    return train_config({**TINY, "model": model, "data": data, "run": {**TINY["run"], **run}})


def open_small_files(tmp_path_factory, config) -> Path:
    folder = tmp_path_factory.mktemp("training") / "run"
    loop.open_folder(folder, config)
    return folder / loop.SMALL_FILES


@pytest.fixture(scope="module")
def small_files(tmp_path_factory) -> Path:
    return open_small_files(tmp_path_factory, tiny())


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "whole"
    loop.train(folder, tiny(), io.StringIO())
    return folder


@pytest.mark.parametrize(
    ("family", "shown"),
    [("qwen2_5_vl", "video"), ("qwen3_vl", "video"), ("qwen2_5_vl", "words")],
)
def test_reply_logits_are_those_of_the_models_own_prompt_path(tmp_path_factory, family, shown):
    small_files = open_small_files(tmp_path_factory, tiny(family, shown))
    maker = BatchMaker(tiny(family, shown), small_files)
    batch = Batch(**maker.batch(0))
    config = read_model_config(small_files)
    parameters = initial_parameters(config, 1)
    random = np.random.default_rng(0)  # a head and biases that say something
    parameters = {
        p: a + 0.1 * random.standard_normal(a.shape).astype(np.float32)
        for p, a in parameters.items()
    }
    model = build_model(config, join_all(config, jax.tree.map(jnp.asarray, parameters)))
    plan, normalization = frame_plan(6, 8, config.vision), family_of(config).media.normalization
    logits = jax.jit(reply_logits)(model, batch, plan)

    reply = batch.weights.shape[1]
    for row, start in enumerate(batch.starts.tolist()):
        ids, positions = batch.token_ids[row, start:], batch.positions[row][:, start:]
        video = batch.video_slots[row] - start
        types = np.isin(np.arange(len(ids)), video) * VIDEO_TOKEN
        media, patches = (), ()
        if shown == "video":
            media = (Medium("video", (8, 3, 4)),)
            patches = (Patches(batch.pixels[row].reshape(-1, 1176), (8, 6, 8), normalization),)
        prompt = Prompt(ids, positions, 0, media, types)
        question = Prepared(Question((), ""), Media((), patches), prompt)
        _, expected = prompt_states(model, [question])
        # float32 sums in another order, on logits of about 10
        np.testing.assert_allclose(logits[row], expected[0, -reply - 1 : -1], atol=2e-4, rtol=0)


def test_pixels_reach_the_model_as_patchify_gives_them(small_files):
    batch = BatchMaker(tiny(), small_files).batch(0)
    pick = picks(tiny(), 0, 16)[batch_row_of_first(small_files)]
    patches = patchify(sample("train", pick.index, pick.kind, pick.level).frames, GEOMETRY)
    np.testing.assert_array_equal(batch["pixels"][0].reshape(-1, 1176), patches.values)


def batch_row_of_first(small_files: Path) -> int:
    maker = BatchMaker(tiny(), small_files)
    return int(maker._buffer(0)[2][0][0])


def test_batches_are_made_alike_here_and_in_the_other_process(small_files):
    maker = BatchMaker(tiny(), small_files)
    with batches_ahead(tiny(), small_files, 3) as batches:
        for step in (3, 4):
            made = next(batches)
            for name, expected in maker.batch(step).items():
                np.testing.assert_array_equal(made[name], expected)


def test_no_sample_comes_twice_kinds_are_even_and_levels_follow_the_stages():
    config = train_config(
        {
            "data": {"batch": 8, "stages": [[0.5, 1, 0, 0], [0.5, 0, 1, 1]]},
            "run": {"steps": 40, "seed": 3},
        }
    )
    chosen = picks(config, 0, 320)
    assert len({pick.index for pick in chosen}) == 320
    assert [sum(pick.kind == kind for pick in chosen) for kind in KINDS] == [40] * 8
    assert {pick.level for pick in chosen[:160]} == {1}
    assert {pick.level for pick in chosen[160:]} == {2, 3}


def test_a_kind_that_stands_twice_comes_twice_as_often():
    config = train_config({"data": {"kinds": ["order", "count", "order"]}})
    chosen = collections.Counter(pick.kind for pick in picks(config, 0, 96))
    assert chosen == {"order": 64, "count": 32}


def test_a_batch_holds_neighbours_by_length_and_every_row_once():
    lengths = tuple(np.random.default_rng(0).integers(120, 230, 64).tolist())
    order = batch_order(tiny(), 0, lengths)
    assert sorted(np.concatenate(order).tolist()) == list(range(64))
    spans = sorted((min(of), max(of)) for of in ([lengths[r] for r in rows] for rows in order))
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


def test_a_clip_in_words_is_asked_about_as_the_text_benchmark_asks(small_files):
    asked = sample_text("train", 4)
    row = text_row(asked)
    words = "\n".join([row["question"], *row.get("options", [])])
    assert "0s" in words and question_in_words(asked) == words
    prompt, reply, _ = BatchMaker(tiny(shown="words"), small_files).example(asked)
    tokenizer = PromptTokenizer.load(small_files)
    assert words in tokenizer.decode(prompt.token_ids) and not prompt.media
    assert tokenizer.decode(reply).startswith("<think>")


def test_the_learning_rate_rises_stays_and_falls_to_nothing():
    options = tiny().optimizer
    rate = learning_rate(options, 0.5, 100)
    assert [round(float(rate(n)), 4) for n in (0, 3, 30, 50, 75, 100)] == [
        round(0.5 / 3, 4), 0.5, 0.5, 0.5, 0.25, 0.0,
    ]  # fmt: skip


def test_sixteen_steps_lower_the_loss(tmp_path):
    config = tiny(steps=16, validate_every=4, validate_questions=0, save_every=16)
    loop.train(tmp_path / "run", config, io.StringIO())
    lines = (tmp_path / "run" / loop.CURVE).read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 4
    assert losses[-1] < 0.7 * losses[0]


def test_killed_and_resumed_training_ends_in_the_same_bytes(tmp_path, finished):
    folder = tmp_path / "run"
    loop.open_folder(folder, tiny())
    run = loop.Run(folder, tiny(), io.StringIO())
    maker = BatchMaker(tiny(), folder / loop.SMALL_FILES)
    for step in range(3):  # one more than the newest snapshot has, with a line of the curve
        run.advance(maker.batch(step))
    assert snapshots.latest(folder / loop.SNAPSHOTS) == 2
    loop.train(folder, tiny(), io.StringIO())
    for name in (SINGLE, "config.json", "tokenizer.json"):
        paths = (base / loop.CHECKPOINT / name for base in (folder, finished))
        first, second = (path.read_bytes() for path in paths)
        assert first == second
    curves = [(base / loop.CURVE).read_text().splitlines() for base in (folder, finished)]
    first, second = ([json.loads(line) for line in lines] for lines in curves)
    assert [record["step"] for record in first] == [3, 5]
    same = ("step", "accuracy", "kinds", "levels", "tokens", "closed")
    assert [[a[key] for key in same] for a in first] == [[a[key] for key in same] for a in second]
    assert list(first[0]["kinds"]) == list(KINDS)


def test_the_exported_folder_loads_and_survives_the_round_trip(tmp_path, finished):
    folder = finished / loop.CHECKPOINT
    config = read_model_config(folder)
    load_model(folder, config, "float32")
    for source, target in ((folder, tmp_path / "orbax"), (tmp_path / "orbax", tmp_path / "hf")):
        convert(source, target, None, warn=pytest.fail)
    first, second = (load_arrays(f, config, None)[1] for f in (folder, tmp_path / "hf"))
    assert first.keys() == second.keys()
    for path in first:
        np.testing.assert_array_equal(first[path], second[path])
    names = {file.name for file in folder.iterdir()}
    assert names == {file.name for file in (tmp_path / "hf").iterdir()}


def test_a_folder_of_another_config_ends_with_exit_code_2(tmp_path, finished):
    config = tmp_path / "other.toml"
    config.write_text("[run]\nsteps = 7\n")
    command = [sys.executable, str(ROOT / "scripts/train_shapes.py")]
    done = subprocess.run(
        [*command, "--out", str(finished), "--config", str(config)], capture_output=True, text=True
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "run.steps: 5, not 7" in last
    assert "Traceback" not in done.stderr


def test_a_prompt_without_room_ends_in_one_line(small_files):
    config = train_config({**TINY, "data": {**TINY["data"], "prompt_tokens": 9}})
    words = r"^data.prompt_tokens: expected room .*, got 9"
    with pytest.raises(UserError, match=words), batches_ahead(config, small_files, 0) as batches:
        next(batches)


@pytest.mark.parametrize("damage", ["empty", "cut"])
def test_a_damaged_snapshot_is_named_in_one_line(tmp_path, damage):
    tree = {"a": np.arange(1000.0), "b": np.ones(3)}
    snapshots.save(tmp_path, 4, tree)
    folder = tmp_path / "00000004"
    if damage == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        data = max(folder.rglob("d/*"), key=lambda file: file.stat().st_size)
        data.write_bytes(data.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"expected a whole snapshot in .*00000004.*; remove that"):
        snapshots.restore(tmp_path, 4, tree)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="other files"):
        loop.open_folder(tmp_path, tiny())


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"modle": {}}, "unknown config table 'modle'; the nearest known one is 'model'"),
        (
            {"run": {"step": 1}},
            "key 'run.step'; the nearest known one is 'run.steps'",
        ),
        ({"run": {"steps": 1.5}}, "run.steps: expected a whole number, got 1.5"),
        ({"run": {"steps": 0}}, "run.steps: expected a value in .1, 2147483647., got 0"),
        ({"model": {"mrope_section": [1, 2]}}, "expected a sum of 16"),
        ({"data": {"stages": [[0.5, 1, 1, 1]]}}, "sum to 1"),
        ({"data": {"stages": [[1, 1, 1, 1], [0, 1, 1, 1]]}}, r"shares above 0, .*got \[0"),
        ({"data": {"stages": [[1, -1, 1, 1]]}}, "weights from 0"),
        ({"data": {"stages": [[1, 0, 0, 0]]}}, "one is above 0"),
        ({"data": {"kinds": ["speed"]}}, "data.kinds: expected one of direction, count"),
    ],
)
def test_a_wrong_config_is_said_in_one_line(tables, message):
    with pytest.raises(UserError, match=message):
        train_config(tables)


def test_the_shipped_configs_load_and_name_what_differs():
    for other in ("shapes_qwen3vl", "shapes_words"):
        load_train_config(other)
    config = load_train_config(ROOT / "configs/train/shapes.toml", {"run.steps": 3})
    again = load_train_config(ROOT / "configs/train/shapes.toml", {"run.steps": 4})
    assert differences(config.to_dict(), again.to_dict()) == ["run.steps: 3, not 4"]
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()
