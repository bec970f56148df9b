"""Wrong input ends in exit 2, with what was expected and what came as the last line of stderr."""

import os
import shutil

import pytest
from generate_runs import command, end_of, start_process
from PIL import Image

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


def test_a_file_is_not_written_over_another_of_the_run(refused, place, tmp_path):
    same = tmp_path / "same.png"
    assert "--plot: expected a file of its own" in refused("--trace", same, "--plot", same)
    clip = tmp_path / "clip.mp4"
    clip.write_bytes((place / "clip.mp4").read_bytes())
    assert "is also --video's" in refused("--video", clip, "--trace", clip)
    link, config = tmp_path / "trace.json", tmp_path / "mine.toml"
    link.symlink_to(clip)
    assert "is also --video's" in refused("--video", clip, "--trace", link)
    config.write_text("[sampling]\nmax_new_tokens = 2\n")
    assert "is also --config's" in refused("--config", config, "--trace", config)
    assert "is also --video's" in refused("--video", tmp_path, "--plot", tmp_path / "new.png")
