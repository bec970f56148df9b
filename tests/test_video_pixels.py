"""Pixels become RGB as a viewer shows them, in images, folders, animations and videos alike."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image, ImageOps
from video_files import SMALL, read

from vreason_jax.video.images import AnimationDecoder, read_still
from vreason_jax.video.pixels import to_rgb, turned
from vreason_jax.video.pyav_decoder import PyavDecoder
from vreason_jax.video.reader import read_image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_their_exif_says(tmp_path, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as image:
        np.testing.assert_array_equal(to_rgb(image), ImageOps.exif_transpose(image))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_grey_of_sixteen_bits_keeps_its_high_ones(dtype):
    values = np.array([[0, 128, 257, 32896, 65535]], dtype)
    grey = np.asarray(to_rgb(Image.fromarray(values)))[0, :, 0]
    assert grey.tolist() == [0, 0, 1, 128, 255]


def test_the_grey_of_sixteen_bits_that_a_png_makes_transparent_is_white():
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 700, 65535]], np.uint16)).save(file, "PNG", transparency=700)
    assert np.asarray(to_rgb(Image.open(file)))[0, :, 0].tolist() == [0, 255, 255]
    assert np.asarray(to_rgb(Image.fromarray(np.array([[700]], np.uint16))))[0, 0, 0] == 3


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
    assert np.diff(clip.times).tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert clip.fps == pytest.approx(4.0)
    assert np.abs(clip.frames[:, 10, 5, 0].astype(int) - [0, 60, 120, 180]).max() <= 2
    if name != "clip.webp":  # Pillow writes no alpha into these frames
        assert clip.frames[:, 10, 22].min() >= 250


@pytest.mark.parametrize(
    ("codec", "pixels", "container"),
    [
        ("qtrle", "argb", "mov"),
        ("png", "rgba", "mov"),
        ("prores_ks", "yuva444p10le", "mov"),
        ("libvpx", "yuva420p", "webm"),
        ("libvpx-vp9", "yuva420p", "webm"),
        ("ffv1", "yuva420p", "mkv"),
    ],
)
def test_transparent_video_stands_on_white(tmp_path, codec, pixels, container):
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[:, :32, 3], picture[:16, :, 3] = 255, 128
    path = tmp_path / f"clip.{container}"
    flat_video(path, codec, av.VideoFrame.from_ndarray(picture, "rgba").reformat(format=pixels))
    (frame,) = PyavDecoder(str(path)).frames([1])
    shown = frame.pixels.astype(int)
    assert np.abs(shown[40, 5]).max() <= 4
    assert np.abs(shown[5, 5] - 127).max() <= 4
    assert shown[40, 60].tolist() == [255] * 3


def flat_video(path, codec, frame, **tags):
    """Writes a video of three times one frame; `tags` are set on the stream."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        stream.codec_context.options = {"auto-alt-ref": "0"} if codec.startswith("libvpx") else {}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number in range(3):
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def test_what_no_frame_covers_of_a_webp_is_white(tmp_path):
    still = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 0, 0)).save(still, "WEBP", lossless=True)
    frames = [
        chunk(b"ANMF", bytes([0] * 6 + [31, 0, 0] * 2 + [100, 0, 0, 1]) + still.getvalue()[12:])
    ]
    header = chunk(b"VP8X", bytes([2, 0, 0, 0] + [63, 0, 0] * 2))  # no alpha, 64 x 64
    data = b"WEBP" + header + chunk(b"ANIM", bytes(6)) + b"".join(frames * 2)
    (tmp_path / "clip.webp").write_bytes(chunk(b"RIFF", data))
    (frame,) = AnimationDecoder(str(tmp_path / "clip.webp")).frames([1])
    image = np.asarray(read_still(str(tmp_path / "clip.webp")))
    for pixels in (frame.pixels, image):
        assert pixels[10, 10].tolist() == [200, 0, 0]
        assert pixels[60, 60].tolist() == [255] * 3


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("palette", [(9, 9, 9, 250, 0, 0, 0, 0, 250), (0, 0, 0, 1, 1, 1, 2, 2, 2)])
def test_what_the_first_frame_of_a_gif_leaves_uncovered_is_as_in_its_video(
    tmp_path, clear, palette
):
    """It is the background colour, which is not the first of the palette; or else white."""
    control = b"!\xf9\x04" + bytes([clear, 0, 0, 0, 0])
    red = bytes([2, 2, 0x4C, 0x01, 0])  # LZW: one pixel of colour 1
    picture = b"," + struct.pack("<4HB", 3, 2, 1, 1, 0) + red
    screen = struct.pack("<2H3B", 8, 6, 0x81, 2, 0)
    palette = bytes([*palette, 7, 7, 7])
    path = tmp_path / "a.gif"
    path.write_bytes(b"GIF89a" + screen + palette + (control + picture) * 2 + b";")
    image = np.asarray(read_still(str(path)))
    assert image[2, 3].tolist() == list(palette[3:6])
    assert image[0, 0].tolist() == ([255] * 3 if clear else list(palette[6:9]))
    (frame,) = PyavDecoder(str(path)).frames([0])
    np.testing.assert_array_equal(frame.pixels, image)


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


Y, U, V = 100, 90, 180
WEIGHTS = {None: (0.299, 0.114), 5: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


@pytest.mark.parametrize("size", [(96, 128), (720, 1280)])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [None, 1, 2])
def test_colour_is_what_the_tags_say_else_bt601_of_limited_range(tmp_path, size, matrix, full):
    """Whatever the height: players guess BT.709 for tall untagged video, readers of models none."""
    frame = av.VideoFrame(size[1], size[0], "yuv420p")
    for plane, value in zip(frame.planes, (Y, U, V), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    tags = {"colorspace": matrix, "color_range": full}
    path = tmp_path / "clip.mp4"
    flat_video(path, "libx264", frame, **{k: v for k, v in tags.items() if v is not None})
    (shown,) = PyavDecoder(str(path)).frames([1])
    expected = rgb_of(*WEIGHTS[matrix], full=full == 2)
    assert np.abs(shown.pixels[40, 40] - expected).max() <= 3


def rgb_of(red, blue, *, full):
    """Returns the RGB of Y, U, V by the weights of red and blue (ITU-R BT.601, BT.709, BT.2020)."""
    luma = Y / 255 if full else (Y - 16) / 219
    u, v = (np.array([U, V]) - 128) / (255 if full else 224)
    r, b = luma + 2 * (1 - red) * v, luma + 2 * (1 - blue) * u
    return 255 * np.array([r, (luma - red * r - blue * b) / (1 - red - blue), b])


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
