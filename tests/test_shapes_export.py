"""Exported clips come back as they were, and the command line names what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vreason_jax.shapes import sample
from vreason_jax.shapes.__main__ import main
from vreason_jax.shapes.export import read_mp4, write_mp4
from vreason_jax.shapes.puzzle import Scene
from vreason_jax.shapes.render import backdrop, render
from vreason_jax.shapes.scene import make_thing, make_wall

ASSETS = Path(__file__).parents[1] / "vreason_jax" / "assets"


def close(decoded, frames):
    """Few levels off: 8-bit YUV rounds by 2 to 3, colour at half resolution blurs the edges."""
    difference = np.abs(decoded.astype(int) - frames)
    return difference.mean() < 4 and np.mean(difference > 12) < 0.06


def test_export_writes_videos_and_rows_that_belong_together(tmp_path):
    assert main(["--split", "test", "--count", "8", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "eval_shapes.json").read_text())
    assert len(rows) == 8
    for index, row in enumerate(rows):
        made = sample("test", index)
        assert row["problem_id"] == index
        assert row["solution"] == f"<answer>{made.answer}</answer>"
        assert row["options"] == list(made.options)
        assert row["problem_type"] == ("multiple choice" if made.options else "numerical")
        assert row["path"].startswith("./videos/")
        decoded = read_mp4(tmp_path / row["path"])
        assert decoded.shape == made.frames.shape
        assert close(decoded, made.frames)


def test_the_sheet_is_an_image_with_a_strip_per_clip(tmp_path):
    path = tmp_path / "sheet.png"
    arguments = ["--kind", "order", "--level", "1", "--sheet", str(path), "--count"]
    sizes = []
    for number in ("1", "3"):
        assert main([*arguments, number]) == 0
        with Image.open(path) as sheet:
            sizes.append(sheet.size)
    one, three = sizes
    assert three[0] == one[0] and three[1] > 2.5 * one[1]


def test_the_embedded_clip_is_the_sample_its_record_names():
    record = json.loads((ASSETS / "clip.json").read_text())
    made = sample(record["split"], record["index"], record["kind"], record["level"])
    assert (record["question"], record["answer"]) == (made.question, made.answer)
    assert close(read_mp4(ASSETS / "clip.mp4"), made.frames)
    assert (ASSETS / "clip.mp4").stat().st_size < 60_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "spin"], "expected a kind of direction"),
        (["--level", "9"], "expected a level"),
        (["--split", "dev"], "expected a split"),
        (["--first", "99999", "--count", "2"], "expected an index"),
        (["--frames", "4"], "16 to 20 frames, got 4"),
        (["--count", "0"], "--count: expected a whole number of 1 or more"),
    ],
)
def test_bad_input_ends_in_one_line_and_exit_code_2(arguments, words, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and words in lines[0]
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_ends_in_exit_code_2(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    for arguments in (["--out", str(blocked / "out")], ["--sheet", str(blocked / "a.png")]):
        assert main(["--count", "1", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["--count", "1"]) == 2
    with pytest.raises(Exception, match="cannot be written"):
        write_mp4(blocked / "a.mp4", np.zeros((2, 84, 112, 3), np.uint8), 2.0)


def test_rendered_shapes_have_their_area_colour_and_place():
    square = make_thing("square", "red", 40.0, 50.5, frames=16, radius=10.0)
    frame = render(Scene((square,), (0, 0, 0)))[0] / 255.0
    empty = backdrop((0, 0, 0))[..., 0] / 255.0
    weight = (frame[..., 0] - empty) / (232 / 255 - empty)
    y, x = np.indices(weight.shape) + 0.0
    assert weight.sum() == pytest.approx(17.6**2, rel=0.02)  # the side is 1.76 radii
    assert (weight * y).sum() / weight.sum() == pytest.approx(40.0, abs=0.05)
    assert (weight * x).sum() / weight.sum() == pytest.approx(50.5, abs=0.05)


def test_later_things_hide_earlier_ones_and_frames_clip_them():
    wall = make_wall(42.0, 56.0, frames=16)
    behind = make_thing("circle", "blue", 42.0, 56.0, frames=16, radius=10.0)
    outside = make_thing("circle", "green", -200.0, 300.0, frames=16, radius=10.0)
    alone = render(Scene((wall,), (9, 9, 9)))
    np.testing.assert_array_equal(render(Scene((outside, behind, wall), (9, 9, 9))), alone)
