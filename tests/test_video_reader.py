"""Reading files: the same frames by every reader, and one clear error for each thing that fails."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from patches_of_14 import sized
from PIL import Image
from video_files import (
    EACH_READER,
    GOLDENS,
    READERS,
    SMALL,
    assert_one_line_error,
    encode,
    needs_decord,
    read,
)

from vreason_jax.config import VideoConfig
from vreason_jax.errors import UserError
from vreason_jax.video.reader import clip_from_array, read_image, read_video
from vreason_jax.video.sampling import Segment

ROTATIONS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}  # tkhd's a, b, c, d


def frame_folder(folder, count, size=(30, 40)):
    folder.mkdir()
    for number in range(count):
        pixels = np.full((*size, 3), number * 10, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.mark.parametrize("reader", EACH_READER)
@pytest.mark.parametrize("name", ["down", "up"])
def test_a_file_gives_the_frames_of_qwen_vl_utils(reader, name):
    golden = np.load(GOLDENS / "video_clip.npz")
    limits = {"down": sized(3136, 6272), "up": sized(25088, 31360)}[name]
    clip = read_video(GOLDENS / "video_clip.mp4", VideoConfig(reader=reader), limits)
    assert clip.reader == reader
    assert clip.frame_indices.tolist() == golden["frame_indices"].tolist()
    assert clip.fps == golden["fps"]
    difference = np.abs(clip.frames[[0, -1]].astype(int) - golden[f"{name}_frames"])
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 1e-3


@needs_decord
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x264.mp4", {}),
        ("odd.mkv", {"size": (50, 70), "gop": 250}),
        ("mpeg4.avi", {"codec": "mpeg4"}),
        ("vp8.webm", {"codec": "libvpx"}),
        ("variable.mp4", {"times": [n * 20 + n // 3 * 60 for n in range(30)]}),
        ("one.mp4", {"count": 1}),
        ("two.mp4", {"count": 2}),
        ("three.mp4", {"count": 3}),
    ],
)
def test_both_readers_give_the_same_clip(tmp_path, name, options):
    if options.get("codec", "libx264") not in av.codecs_available:
        pytest.skip(f"PyAV here has no encoder {options['codec']}; one with it runs this")
    path = encode(tmp_path / name, **options)
    ours, theirs = (read(path, reader=reader) for reader in READERS)
    assert (ours.reader, theirs.reader) == READERS
    assert ours.frame_indices.tolist() == theirs.frame_indices.tolist()
    assert ours.fps == pytest.approx(theirs.fps, rel=1e-9)
    difference = np.abs(ours.frames.astype(int) - theirs.frames)
    assert difference.max() <= 1
    assert len(ours.frames) == len(ours.frame_indices)


@pytest.mark.parametrize("reader", EACH_READER)
def test_the_indices_of_a_clip_lead_to_its_frames(tmp_path, reader):
    """The blue plane holds the frame's number, so that a jump that goes astray shows."""
    path = encode(tmp_path / "clip.mp4", count=31, gop=7)
    clip = read(path, reader=reader, num_frames=12)
    numbers = np.rint(clip.frames[..., 2].mean((1, 2)) / 8).astype(int)
    assert numbers.tolist() == clip.frame_indices.tolist()


@pytest.mark.parametrize("reader", EACH_READER)
@pytest.mark.parametrize("degrees", ROTATIONS)
def test_a_rotated_video_comes_upright(tmp_path, degrees, reader):
    path = encode(tmp_path / "clip.mp4")
    upright = read_video(path, VideoConfig(), sized(784, 10**6)).frames
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # version, flags and times stand before it (ISO 14496-12)
    a, b, c, d = (value << 16 for value in ROTATIONS[degrees])
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    turned = read_video(path, VideoConfig(reader=reader), sized(784, 10**6)).frames
    expected = np.rot90(upright, -degrees // 90, axes=(1, 2))
    assert turned.shape == expected.shape
    assert np.abs(turned.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ["head.mp4", "tail.mp4", "clip.mkv", "clip.avi", "clip.webm"])
def test_a_cut_off_file_is_one_error(tmp_path, name):
    """With its index at the head or at the tail, and in containers that readers accept cut off."""
    codec = {".avi": "mpeg4", ".webm": "libvpx"}.get(Path(name).suffix, "libx264")
    whole = encode(tmp_path / f"whole_{name}", codec=codec)
    data = move_index_to_head(whole) if name == "head.mp4" else whole.read_bytes()
    path = tmp_path / name
    path.write_bytes(data)
    assert read(path).frames.size
    path.write_bytes(data[: len(data) * 3 // 5])
    assert_one_line_error(path, "expected a whole video file, it is cut off")


def move_index_to_head(path):
    target = path.with_name("remuxed.mp4")
    with (
        av.open(str(path)) as source,
        av.open(str(target), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return target.read_bytes()


@pytest.mark.parametrize("reader", ["auto", *EACH_READER])
def test_damaged_contents_are_an_error_not_a_crash(tmp_path, reader):
    data = bytearray(encode(tmp_path / "clip.mp4").read_bytes())
    start = data.index(b"mdat") + 4
    data[start + 40 : -2000] = bytes(len(data) - 2000 - start - 40)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    assert_one_line_error(path, "expected a readable video file", reader=reader)


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"", "the file is empty"),
        (b"not a video\n" * 40, "expected a readable video file"),
        (b"RIFF\0\0\0\0WEBPVP8X", "expected a readable video file"),
    ],
)
def test_an_empty_or_foreign_file_is_one_error(tmp_path, contents, expected):
    path = tmp_path / "clip.mp4"
    path.write_bytes(contents)
    assert_one_line_error(path, expected)


@pytest.mark.parametrize("name", ["list.m3u8", "clip.mp4"])
@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"],
    ids=["hls", "concat"],
)
def test_a_playlist_that_leads_to_other_files_is_refused(tmp_path, name, text):
    encode(tmp_path / "other.ts")
    (tmp_path / name).write_text(text.format("other.ts"))
    assert_one_line_error(tmp_path / name, "got a playlist of other files")


def test_a_missing_file_is_one_error(tmp_path):
    assert_one_line_error(tmp_path / "none.mp4", "No such file")


def test_a_file_without_video_is_one_error(tmp_path):
    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + 800) + b"WAVEfmt ")
    with open(path, "ab") as file:
        file.write(struct.pack("<IHHIIHH4sI", 16, 1, 1, 8000, 16000, 2, 16, b"data", 800))
        file.write(bytes(800))
    assert_one_line_error(path, "no video stream", reader="pyav")
    assert_one_line_error(path, "expected a readable video file")


def test_an_unknown_codec_is_one_error(tmp_path):
    path = encode(tmp_path / "clip.mp4", count=4)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"none").replace(b"mp4v", b"none"))
    assert_one_line_error(path, "no decoder knows the codec", reader="pyav")


@pytest.mark.parametrize("reader", EACH_READER)
def test_a_file_name_with_odd_characters_is_read(tmp_path, reader):
    path = encode(tmp_path / "concat:a b'é%d.mp4")
    assert read(path, reader=reader).frames.size


def test_of_a_folder_those_frames_are_opened_that_are_shown(tmp_path):
    folder = frame_folder(tmp_path / "frames", 9)
    shown = read_video(folder, VideoConfig(num_frames=4), SMALL).frame_indices.tolist()
    left_out = [number for number in range(9) if number not in shown]
    (folder / f"{left_out[0]:03}.png").write_text("no picture")
    Image.new("RGB", (9, 9)).save(folder / f"{left_out[1]:03}.png")
    clip = read_video(folder, VideoConfig(num_frames=4), SMALL)
    assert clip.frame_indices.tolist() == shown
    Image.new("RGB", (9, 9)).save(folder / f"{shown[1]:03}.png")
    with pytest.raises(UserError, match=r"expected frames of one size, 000\.png has"):
        read_video(folder, VideoConfig(num_frames=4), SMALL)


def test_a_folder_is_a_video_of_its_rate(tmp_path):
    folder = frame_folder(tmp_path / "frames", 20)
    (folder / "notes.txt").write_text("left alone")
    (folder / "._000.png").write_text("left alone")
    clip = read_video(folder, VideoConfig(), SMALL, folder_fps=4.0)
    # 20 frames at 4 a second are 5 seconds: 10 frames at 2 a second, of which the last is the 20th.
    assert clip.frame_indices.tolist() == [0, 2, 4, 6, 8, 11, 13, 15, 17, 19]
    assert clip.fps == 2.0
    assert clip.reader == "folder"
    assert clip.frames.shape == (10, 28, 28, 3)
    assert clip.frames[:, 0, 0, 0].tolist() == [10 * n for n in clip.frame_indices.tolist()]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_short_folder_has_a_defined_result(tmp_path, count):
    clip = read(frame_folder(tmp_path / "frames", count))
    assert clip.frame_indices.tolist() == {1: [0], 2: [0, 1], 3: [0, 2]}[count]


def test_folders_that_cannot_be_read_are_one_error(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_one_line_error(tmp_path / "empty", "expected frames named *.png or *.jpg")
    broken = frame_folder(tmp_path / "broken", 5)
    (broken / "003.png").write_bytes(b"no image")
    assert_one_line_error(broken, "cannot read frame 003.png")
    cut = frame_folder(tmp_path / "cut", 4)
    data = (cut / "003.png").read_bytes()
    (cut / "003.png").write_bytes(data[: len(data) - 30])
    assert_one_line_error(cut, "cannot read frame 003.png")
    unequal = frame_folder(tmp_path / "unequal", 5)
    Image.new("RGB", (41, 30)).save(unequal / "003.png")
    assert_one_line_error(unequal, "000.png has 40x30 and 003.png 41x30 pixels")
    with pytest.raises(UserError, match="--fps: expected a rate above 0"):
        read_video(frame_folder(tmp_path / "good", 2), VideoConfig(), SMALL, folder_fps=0.0)


def test_arrays_are_used_whole_up_to_max_frames():
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((28, 28, 3), np.uint8)
    some = clip_from_array(frames[:5], 3.0, VideoConfig(), SMALL)
    assert some.frame_indices.tolist() == [0, 1, 2, 3, 4]
    assert some.fps == 3.0
    assert (some.reader, some.path) == ("array", None)
    many = clip_from_array(frames, 3.0, VideoConfig(), SMALL)
    assert len(many.frames) == 16
    assert many.fps == pytest.approx(16 / 20 * 3.0)
    assert many.frames[:, 0, 0, 0].tolist() == many.frame_indices.tolist()
    few = clip_from_array(frames, 3.0, VideoConfig(num_frames=4), SMALL)
    assert few.frame_indices.tolist() == [0, 6, 13, 19]
    assert few.times.tolist() == pytest.approx([0.0, 2.0, 13 / 3, 19 / 3])


@pytest.mark.parametrize(
    ("frames", "fps", "expected"),
    [
        (np.zeros((0, 28, 28, 3), np.uint8), 2.0, "at least one frame"),
        (np.zeros((2, 28, 28), np.uint8), 2.0, r"uint8 \[F, h, w, 3\]"),
        (np.zeros((2, 28, 28, 3), np.float32), 2.0, "got float32"),
        (np.zeros((2, 28, 28, 3), np.uint8), 0.0, "frame rate above 0"),
        (np.zeros((2, 28, 28, 3), np.uint8), float("nan"), "frame rate above 0"),
    ],
)
def test_malformed_arrays_are_an_error(frames, fps, expected):
    with pytest.raises(UserError, match=expected):
        clip_from_array(frames, fps, VideoConfig(), SMALL)


def test_frames_that_no_memory_holds_are_refused_by_the_settings_that_ask_for_them(tmp_path):
    limits = sized(10**9, 10**9)
    with pytest.raises(UserError, match=r"4 frames of .*; lower video\.min_pixels, video\."):
        read_video(encode(tmp_path / "a.mp4"), VideoConfig(), limits)
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="or for an image the checkpoint's own limits"):
        read_image(tmp_path / "a.png", sized(2 * 10**9, 2 * 10**9))
    with pytest.raises(UserError, match=r"5 frames of .* pixels take 15 GB, expected at most 3\.2"):
        clip_from_array(np.zeros((5, 40, 60, 3), np.uint8), 2.0, VideoConfig(), limits)


def test_an_image_is_a_clip_of_one_frame(tmp_path):
    Image.new("L", (64, 30), 77).save(tmp_path / "grey.png")
    clip = read_image(tmp_path / "grey.png", sized(3136, 12845056))
    assert clip.frames.shape == (1, 56, 84, 3)
    assert np.all(clip.frames == 77)
    assert (clip.reader, clip.frame_indices.tolist()) == ("image", [0])


def test_images_that_cannot_be_read_are_one_error(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"text")
    for name, expected in [
        ("empty.png", "empty"),
        ("text.png", "expected a readable image"),
        ("none.png", "No such file"),
        ("", "got a folder"),
    ]:
        with pytest.raises(UserError, match=expected) as caught:
            read_image(tmp_path / name, SMALL)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", EACH_READER)
def test_a_segment_of_a_file_gives_the_frames_within_it(tmp_path, reader):
    path = encode(tmp_path / "clip.mp4", count=31, rate=10, gop=7)
    config = VideoConfig(reader=reader)
    clip = read_video(path, config, SMALL, segment=Segment(0.8, 2.4))
    assert clip.frame_indices.tolist() == [8, 13, 19, 24]
    numbers = np.rint(clip.frames[..., 2].mean((1, 2)) / 8).astype(int)
    assert numbers.tolist() == clip.frame_indices.tolist()
    for segment, expected in ((Segment(9.0, 10.0), "starts at 9"), (Segment(2.0, 1.0), "start < ")):
        with pytest.raises(UserError, match=expected) as caught:
            read_video(path, config, SMALL, segment=segment)
        assert str(caught.value).startswith(f"{path}: ")


def test_a_segment_of_a_folder_counts_its_own_rate(tmp_path):
    folder = frame_folder(tmp_path / "frames", 20)
    clip = read_video(folder, VideoConfig(), SMALL, folder_fps=3.0, segment=Segment(2.0, 4.0))
    assert clip.frame_indices.tolist() == [6, 8, 10, 12]
    assert clip.fps == pytest.approx(4 / 7 * 3)
    assert clip.frames[:, 0, 0, 0].tolist() == [60, 80, 100, 120]


def test_a_folders_frames_may_be_of_any_kind_of_image(tmp_path):
    for number, suffix in enumerate((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif")):
        Image.new("RGB", (56, 56), (10 * number,) * 3).save(tmp_path / f"{number}{suffix}")
    assert read(tmp_path).frames.shape[0] == 6
