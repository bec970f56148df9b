"""Pixels become RGB as a viewer shows them, in images, folders, animations and videos alike."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image, ImageOps
from video_files import SMALL, read

from vreason_jax.video.pixels import to_rgb, turned, upright_size
from vreason_jax.video.pyav_decoder import PyavDecoder
from vreason_jax.video.reader import read_image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_their_exif_says(tmp_path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as image:
        assert upright_size(image) == to_rgb(image).size
        np.testing.assert_array_equal(to_rgb(image), ImageOps.exif_transpose(image))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_grey_of_sixteen_bits_keeps_its_high_ones(dtype):
    values = np.array([[0, 128, 257, 32896, 65535]], dtype)
    grey = np.asarray(to_rgb(Image.fromarray(values)))[0, :, 0]
    assert grey.tolist() == [0, 0, 1, 128, 255]


def test_floats_fill_the_range_that_holds_them():
    for scale in (1, 255, 65535):
        image = Image.fromarray(np.array([[0, 0.5, 1]], np.float32) * np.float32(scale))
        assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_what_is_transparent_is_white(tmp_path, mode, suffix):
    if (mode, suffix) != ("RGBA", "webp") and suffix == "webp":
        pytest.skip("WebP has no such mode")
    image = Image.new("RGBA", (56, 56), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 28, 56))
    path = tmp_path / f"image.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    image.convert(mode).save(path, **options)
    frame = read_image(path, SMALL).frames[0]
    assert frame[20, 50].tolist() == [255] * 3
    assert frame[20, 5].tolist() == [0] * 3


@pytest.mark.parametrize("name", ["clip.gif", "clip.webp", "clip.png"])
def test_animations_keep_their_durations_and_stand_on_white(tmp_path, name):
    path = tmp_path / name
    images = [Image.new("RGBA", (32, 32), (0, 0, 0, 0)) for _ in range(4)]
    for number, image in enumerate(images):
        image.paste((60 * number, 0, 0, 255), (0, 0, 16, 32))
    options = {"save_all": True, "append_images": images[1:], "duration": [100, 200, 300, 400]}
    images[0].save(path, disposal=2, **({"lossless": True} if "webp" in name else {}), **options)
    clip = read(path, num_frames=4)
    assert clip.times is not None
    assert np.diff(clip.times).tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert clip.fps == pytest.approx(4.0)
    assert np.abs(clip.frames[:, 10, 5, 0].astype(int) - [0, 60, 120, 180]).max() <= 2
    if name != "clip.webp":  # Pillow writes no alpha into these frames
        assert clip.frames[:, 10, 22].min() >= 250


def test_transparent_video_stands_on_white(tmp_path):
    with av.open(str(tmp_path / "clip.mov"), "w") as out:
        stream = out.add_stream("qtrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "argb"
        for _ in range(4):
            pixels = np.zeros((64, 64, 4), np.uint8)
            pixels[:, :32, 3] = 255
            out.mux(
                stream.encode(av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format="argb"))
            )
        out.mux(stream.encode())
    (frame,) = PyavDecoder(str(tmp_path / "clip.mov")).frames([1])
    assert frame.pixels[5, 5].tolist() == [0] * 3
    assert frame.pixels[5, 60].tolist() == [255] * 3


def test_pixels_that_are_not_square_count_as_wide_as_they_are_shown(tmp_path):
    with av.open(str(tmp_path / "clip.mkv"), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        out.mux(stream.encode(av.VideoFrame(48, 64, "yuv420p")))
        out.mux(stream.encode())
    (frame,) = PyavDecoder(str(tmp_path / "clip.mkv")).frames([0])
    assert (frame.height, frame.width) == (64, 96)


def test_a_matrix_turns_and_flips():
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    assert turned(pixels, (1, 0, 0, 1)) is not None
    np.testing.assert_array_equal(turned(pixels, (0, 1, -1, 0)), np.rot90(pixels, -1))
    np.testing.assert_array_equal(turned(pixels, (-1, 0, 0, 1)), pixels[:, ::-1])
    np.testing.assert_array_equal(turned(pixels, (0, 1, 1, 0)), pixels.swapaxes(0, 1))
