"""Wrong input ends in exit 2, with what was expected and what came as the last line of stderr."""

import json
import os
import shutil

import numpy as np
import pytest
from generate_runs import changed_model, command, end_of, rewrite_json, start_process
from PIL import Image
from safetensors.numpy import load_file, save_file

WEIGHTS = "model.safetensors"


@pytest.fixture
def refused(run):
    """Runs, and returns the reason, having checked how it was told."""

    def reason(*flags) -> str:
        ended = run(*flags)
        assert ended.code == 2, ended
        assert ended.out == ""
        assert "Traceback" not in ended.err
        last = ended.err.splitlines()[-1]
        assert last.startswith("error: ")
        return last.removeprefix("error: ")

    return reason


# --- media --------------------------------------------------------------------------------------


def truncated(folder, place):
    data = (place / "clip.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    return folder / "cut.mp4"


def empty(folder, place):
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def no_video(folder, place):
    (folder / "words.mp4").write_text("not a video\n" * 50)
    return folder / "words.mp4"


def no_frames(folder, place):
    (folder / "folder").mkdir()
    (folder / "folder" / "notes.txt").write_text("no frame")
    return folder / "folder"


def unequal_frames(folder, place):
    (folder / "folder").mkdir()
    for number, width in enumerate((56, 84)):
        Image.new("RGB", (width, 56)).save(folder / "folder" / f"{number}.png")
    return folder / "folder"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder, place: folder / "missing.mp4", "No such file"),
        (lambda folder, place: folder / "undecodable\udcff.mp4", "No such file"),
        (lambda folder, place: folder / "new\nline.mp4", "No such file"),
        (empty, "the file is empty (0 bytes)"),
        (truncated, "expected a whole video file, it is cut off"),
        (no_video, "expected a readable video file"),
        (lambda folder, place: "/dev/null", "expected a file, a folder of frames or a pipe"),
        (no_frames, "expected frames named *.png or *.jpg in the folder, found none"),
        (unequal_frames, "expected frames of one size"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or value[:12],
)
def test_a_wrong_video(refused, tmp_path, place, make, expected):
    path = make(tmp_path, place)
    reason = refused("--video", path)
    assert expected in reason
    assert reason.startswith(" ".join(str(path).replace("\udcff", "\\udcff").splitlines()))


@pytest.mark.parametrize("name", ["missing.png", "words.png", "."])
def test_a_wrong_image(refused, tmp_path, name):
    (tmp_path / "words.png").write_text("not an image")
    assert "expected" in refused("--no-video", "--image", tmp_path / name)


# --- checkpoints --------------------------------------------------------------------------------


def with_tensors(change):
    def rewrite(folder):
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return rewrite


def with_config(vision=None, **values):
    def rewrite(folder):
        config = json.loads((folder / "config.json").read_text())
        rewrite_json(
            folder / "config.json",
            **values,
            **({"vision_config": config["vision_config"] | vision} if vision else {}),
        )

    return rewrite


def with_text(name, text):
    return lambda folder: (folder / name).write_text(text)


def pickled(folder):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def cut_weights(folder):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


UP = "model.layers.1.mlp.up_proj.weight"
NORM = "model.norm.weight"
WRONG_CHECKPOINTS = {
    "truncated": (cut_weights, "expected a whole safetensors file"),
    "pickled": (pickled, "found pickled ones (pytorch_model.bin)"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "found no weights"),
    "a tensor missing": (
        with_tensors(lambda tensors: tensors.pop(UP)),
        f"1 missing (first: {UP}), 0 surplus, 0 misshapen; `python -m convert` lists them all",
    ),
    "a tensor too many": (
        with_tensors(lambda tensors: tensors.update(more=np.zeros(3, np.float32))),
        "0 missing, 1 surplus (first: more), 0 misshapen; `python -m convert` lists them all",
    ),
    "a tensor of another shape": (
        with_tensors(lambda tensors: tensors.update({NORM: np.ones(3, np.float32)})),
        f"0 missing, 0 surplus, 1 misshapen (first: {NORM} (expected [96], got [3]))",
    ),
    "integers": (
        with_tensors(lambda tensors: tensors.update({NORM: np.ones(96, np.int8)})),
        f"expected tensors in BF16, F16 or F32, got '{NORM}' in I8",
    ),
    "a shard missing": (
        lambda folder: (
            (folder / WEIGHTS).unlink(),
            with_text("model.safetensors.index.json", '{"weight_map": {"a": "b.safetensors"}}')(
                folder
            ),
        ),
        "names the shard 'b.safetensors', which is missing",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json, found none"),
    "a broken config": (with_text("config.json", '{"model_type":'), "not valid JSON"),
    "a config of numbers that are none": (
        with_config(rms_norm_eps=float("nan")),
        "expected rms_norm_eps to be a number above 0, got nan",
    ),
    "a list for a config": (with_text("config.json", "[]"), "expected model_type 'qwen2_5_vl'"),
    "a foreign model": (with_config(model_type="llama"), "'qwen3_vl', got 'llama'"),
    "a vision tower of another width": (
        with_config(vision={"out_hidden_size": 48}),
        "expected out_hidden_size 96, got 48",
    ),
    "other patches": (
        with_config(vision={"patch_size": 7, "window_size": 56}),
        "expected patch_size 7",
    ),
    "heads that do not divide": (with_config(vision={"num_heads": 5}), "expected a vision width"),
    "half a head": (with_config(num_attention_heads=6.5), "num_attention_heads to be 1, 2, ..."),
    "words for a section": (with_config(text_config="words"), "expected text_config to be an obj"),
    "no tokenizer": (
        lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "vocab.json")],
        "no tokenizer; expected tokenizer.json, or vocab.json and merges.txt",
    ),
    "a broken tokenizer": (with_text("tokenizer.json", "{"), "the tokenizer cannot be read"),
    "another tokenizer": (with_config(video_token_id=5), "config.json says video_token_id 5"),
    "an endless end token": (
        with_text("generation_config.json", '{"eos_token_id": 9999999999}'),
        "expected eos_token_id",
    ),
    "a word for an end token": (
        with_text("generation_config.json", '{"eos_token_id": "</s>"}'),
        "expected eos_token_id",
    ),
    "an end token that the model has not": (
        with_text("generation_config.json", '{"eos_token_id": [1, 99999]}'),
        "expected ids below the vocab_size",
    ),
    "half a pad token": (
        lambda folder: (
            rewrite_json(folder / "tokenizer_config.json", pad_token=None),
            with_text("generation_config.json", '{"pad_token_id": 1.5}')(folder),
        ),
        "generation_config.json: expected pad_token_id to be 0, 1, ..., got 1.5",
    ),
    "fewer rows than tokens": (
        with_config(vocab_size=290),
        "expected ids below the vocab_size 290",
    ),
    "a broken template": (
        with_text("chat_template.json", '{"chat_template": "{% if %}"}'),
        "chat template",
    ),
    "a template that drops the question": (
        with_text("chat_template.json", '{"chat_template": "hi"}'),
        "expected it to show the user's text once",
    ),
    "limits of words": (
        with_text("video_preprocessor_config.json", '{"min_pixels": "few"}'),
        "expected min_pixels and max_pixels of 1, 2, ..., got 'few'",
    ),
}


@pytest.mark.parametrize("case", WRONG_CHECKPOINTS)
def test_a_wrong_checkpoint(refused, place, tmp_path, case):
    change, expected = WRONG_CHECKPOINTS[case]
    assert expected in refused("--model", changed_model(place, tmp_path / "model", change))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("missing/folder/here", "expected a checkpoint folder or a hub id"),
        ("clip.mp4", "expected a checkpoint folder, got a file"),
        ("frames", "expected a checkpoint folder with a config.json, found none"),
        ("\udcff", "expected a checkpoint folder or a hub id"),
    ],
)
def test_what_is_no_checkpoint(refused, place, name, expected):
    assert expected in refused("--model", place / name)


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--max-new-token 3", "unknown argument '--max-new-token'; the nearest known one is '--ma"),
        ("clip.mp4", "unknown argument 'clip.mp4'"),
        ("--max-new-tokens", "--max-new-tokens: expected one argument"),
        ("--max-new-tokens many", "--max-new-tokens: expected a whole number, got 'many'"),
        ("--max-new-tokens 0", "max_new_tokens: expected a value in [1, 2147483647], got 0"),
        ("--max-new-tokens 99999999999", "expected a value in [1, 2147483647], got 99999999999"),
        ("--max-new-tokens 2147483647", "GB of memory are free; lower sampling.max_new_tokens"),
        (f"--max-new-tokens {'9' * 5000}", "--max-new-tokens: expected a whole number, got '999"),
        (f"--samples {10**20}", "samples: expected 1 at sampling.temperature 0"),
        (f"--set sampling.temperature=1 --samples {10**20}", "or the number of answers at once"),
        ("--num-frames 0", "video.num_frames: expected a value in [1, 2147483647], got 0"),
        ("--seed -1", "sampling.seed: expected a value in [0, 4294967295], got -1"),
        ("--fps 0", "--fps: expected a number above 0, got '0'"),
        ("--fps nan", "--fps: expected a number above 0, got 'nan'"),
        ("--fps fast", "--fps: expected a number above 0, got 'fast'"),
        ("--dtype foo", "model.dtype: expected one of float32, bfloat16, float16, got 'foo'"),
        (
            "--config nope",
            "no file 'nope'; expected a TOML path or one of: "
            "baseline, frozen, inverted, lite, max, min, random, random_direction, vre",
        ),
        ("--set controller.every", "expected KEY=VALUE"),
        ("--set controller.evry=3", "'controller.evry'; the nearest known one is 'controller.eve"),
        ("--set controller.every=2.5", "controller.every: expected a whole number, got 2.5"),
        ("--set controller.every=none", "controller.every: expected a whole number, got 'none'"),
        ("--set controller.every=true", "controller.every: expected a whole number, got True"),
        ("--set controller.learning_rate=nan", "expected a value in [0.0, 3.4e+38], got nan"),
        ("--set controller.learning_rate=inf", "expected a value in [0.0, 3.4e+38], got inf"),
        (f"--set controller.learning_rate=1{'0' * 400}", "expected a number, got 1000"),
        (f"--set controller.every=1{'0' * 5000}", "expected a whole number, got '1000"),
        (
            f"--set sampling.seed=0x{'f' * 5000}",
            "in [0, 4294967295], got a value too long to show (int)",
        ),
        ("--set sampling.top_p=0", "sampling.top_p: expected a value in (0.0, 1.0], got 0.0"),
        ("--set prune.fraction=1", "prune.fraction: expected a value in [0.0, 1.0), got 1.0"),
        ("--set prune.policy=any", "prune.policy: expected one of value_norm, "),
        ("--set video.max_frames=1", "video.max_frames: expected at least 2"),
        ("--set video.min_pixels=5000", "expected min <= max, got 5000 > 3136"),
        ("--set prompt.template=nowhere.txt", "cannot read nowhere.txt: No such file"),
        ("--mesh model=64", "--mesh model=64: needs 64 devices, expected at most the 8 there are"),
        ("--mesh pipe=2", "unknown axis 'pipe', expected data=N,model=M"),
        ("--mesh model=0", "expected each axis once, with a number of 1 or more"),
        (f"--mesh model={'9' * 5000}", "expected each axis once, with a number of 1 or more"),
        ("--no-video --video clip.mp4", "--no-video and --video exclude each other"),
    ],
    ids=lambda value: value[:40],
)
def test_a_wrong_option(refused, flags, expected):
    assert expected in refused(*flags.split())


@pytest.mark.parametrize("rate", ["1e-320", "1e-300", "1e-10"])
def test_a_rate_of_ages(refused, place, rate):
    reason = refused("--video", place / "frames", "--fps", rate)
    assert reason.startswith("fps: expected 1e-09 frames a second or more, got ")


def test_a_clip_longer_than_all_positions(refused, place):
    reason = refused("--video", place / "frames", "--fps", "2e-9")
    assert "expected a clip of less than" in reason and "give its right rate (--fps)" in reason


NAMING = (
    "--model", "--video", "--image", "--config", "--mesh", "--dtype", "--set", "--trace", "--plot",
    "--dump-inputs", "--fps", "--seed", "--samples", "--coordinator",
)  # fmt: skip


@pytest.mark.parametrize("flag", NAMING)
@pytest.mark.parametrize("value", ["a\0b", "\ud800", "~nobody-of-this-name/a.png"])
def test_a_value_that_names_nothing(refused, flag, value):
    assert value.isprintable() or value not in refused(flag, value)


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "~nobody-of-this-name/a"])
def test_a_value_that_names_no_template(refused, value):
    assert "prompt.template" in refused("--set", f"prompt.template={value}")


@pytest.mark.parametrize("flag", ["--mesh", "--config", "--trace", "--plot", "--dump-inputs"])
def test_an_empty_value(refused, flag):
    assert "expected" in refused(flag, "") or "give a file name" in refused(flag, "")


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_prompt(refused, text):
    assert refused("--prompt", text).startswith("prompt: expected a question, got empty text")


def test_undecodable_bytes_in_the_prompt(refused):
    assert "expected valid Unicode text" in refused("--prompt", "what \udcff moves?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[controller]\nlearning_rate = nan\n", "expected a value in [0.0, 3.4e+38], got nan"),
        ("[controller]\nevery = true\n", "expected a whole number, got True"),
        (
            "[control]\nevery = 4\n",
            "unknown config table 'control'; the nearest known one is 'controller'",
        ),
        ("every = 4\n", "unknown config key 'every': keys stand in tables"),
        ("[controller\n", "is not valid TOML"),
        (f"[controller]\nevery = 1{'0' * 5000}\n", "is not valid TOML"),
        ("\udcff", "is not valid TOML"),
    ],
)
def test_a_wrong_config_file(refused, tmp_path, text, expected):
    (tmp_path / "run.toml").write_text(text, errors="surrogateescape")
    assert expected in refused("--config", tmp_path / "run.toml")


# --- output paths -------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--trace", "--dump-inputs", "--plot"])
def test_an_unwritable_output_is_found_before_the_model_is_looked_at(refused, tmp_path, flag):
    if flag == "--plot":
        pytest.importorskip("matplotlib", reason="the plots extra is not installed")
    missing = "--model", tmp_path / "no model"
    reason = refused(*missing, flag, tmp_path / "missing" / "file.png")
    assert reason.startswith(f"{flag}: cannot write")
    assert "missing is not a folder; create it first" in reason
    assert "it is a folder" in refused(*missing, flag, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_plot_in_a_form_that_nothing_draws(refused, tmp_path):
    pytest.importorskip("matplotlib", reason="the plots extra is not installed")
    assert "expected a file name in .png, .svg, .pdf" in refused("--plot", tmp_path / "plot.gif")


# --- the real program ---------------------------------------------------------------------------


def test_a_platform_that_is_not_there(place):
    ended = end_of(start_process(command(place), JAX_PLATFORMS="nosuch"))
    assert (ended.code, ended.out) == (2, "")
    expected = "error: JAX_PLATFORMS='nosuch': found no device to run on: "
    assert ended.err.splitlines()[-1].startswith(expected)


def test_the_program_itself_exits_with_2_and_its_last_line_is_the_reason(place, tmp_path):
    shutil.copy(place / "clip.mp4", tmp_path / "clip.mp4")
    for flags, expected in (
        (("--video", tmp_path / "gone.mp4"), "gone.mp4: expected a file or a folder of frames"),
        (("--mesh", "model=64"), "--mesh model=64: needs 64 devices, expected at most the "),
    ):
        ended = end_of(start_process(command(place, *flags)))
        assert (ended.code, ended.out) == (2, "")
        assert expected in ended.err.splitlines()[-1]
        assert "Traceback" not in ended.err
