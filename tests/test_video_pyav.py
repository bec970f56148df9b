"""PyAV gives the frames asked for, by jumps and by decoding throughout, whatever the packets."""

import contextlib
import io
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from numbered_clips import Case, make
from PIL import Image
from video_files import encode

from vreason_jax.video import packets, pyav_decoder
from vreason_jax.video.decoders import DecodeError
from vreason_jax.video.pyav_decoder import PacketsMislead, PyavDecoder


@pytest.fixture
def jumping(monkeypatch):
    """Lets PyAV jump in files that are small enough to be decoded throughout."""
    monkeypatch.setattr(pyav_decoder, "STRAIGHT_PIXELS", 0)


def every_frame(path):
    with av.open(str(path)) as container:
        # Before its first key frame, FFmpeg makes up grey ones for MPEG-4.
        frames = itertools.dropwhile(lambda f: not f.key_frame, container.decode(video=0))
        return [frame.to_ndarray(format="rgb24") for frame in frames]


def assert_frames(decoder, wanted, every):
    for index, frame in zip(wanted, decoder.frames(wanted), strict=True):
        np.testing.assert_array_equal(frame.pixels, every[index])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("closed.mp4", {"gop": 5}),
        ("open.mkv", {"x264": "open-gop=1:keyint=8:bframes=3"}),
        ("refresh.ts", {"x264": "intra-refresh=1:keyint=20"}),
        ("packs.avi", {"codec": "mpeg4"}),
        ("old.mpg", {"codec": "mpeg2video", "gop": 9}),
        ("vp8.webm", {"codec": "libvpx"}),
    ],
)
@pytest.mark.parametrize("wanted", [[0, 3, 17, 18, 59], [23], [59], [8, 9, 16, 41]])
def test_jumps_land_on_the_frames_of_a_whole_decoding(tmp_path, jumping, name, options, wanted):
    path = encode(tmp_path / name, count=60, **options)
    every = every_frame(path)
    decoder = PyavDecoder(str(path))
    assert decoder.timeline.total == len(every)
    assert_frames(decoder, wanted, every)


def test_a_jump_that_misses_its_frame_is_noticed(tmp_path, jumping):
    decoder = PyavDecoder(str(encode(tmp_path / "clip.mp4", count=40, gop=5)))
    decoder._packets.stamps[20] += 1  # a time stamp that no frame has
    with pytest.raises(PacketsMislead):
        list(decoder.frames([7, 20, 33]))


def test_few_frames_are_decoded_between_jumps(tmp_path, jumping):
    path = encode(tmp_path / "clip.mp4", count=120, gop=10, x264="bframes=0:scenecut=0")
    decoder = PyavDecoder(str(path))
    sent, decoded = [], decoder._decoded
    decoder._decoded = lambda packets: decoded(sent.append(p) or p for p in packets)
    list(decoder.frames([0, 60, 119]))
    assert len(sent) < 60  # of 120, for three frames and what the decoder's threads hold


def test_long_tables_are_trusted_to_the_first_frame_that_differs(tmp_path, jumping, monkeypatch):
    monkeypatch.setattr(packets, "LONG", 10)
    monkeypatch.setattr(packets, "AROUND", 8)
    path = encode(tmp_path / "clip.mp4", count=90, x264="open-gop=1:keyint=12:bframes=3")
    decoder = PyavDecoder(str(path))
    assert decoder._packets.table is not None
    assert_frames(decoder, [0, 11, 12, 30, 61, 89], every_frame(path))


@pytest.mark.parametrize(
    "flags", ["", "frag_keyframe+global_sidx", "cmaf+frag_keyframe+global_sidx"]
)
def test_a_long_table_behind_which_fragments_lie_is_not_the_video(
    tmp_path, jumping, monkeypatch, flags
):
    monkeypatch.setattr(packets, "LONG", 10)
    monkeypatch.setattr(packets, "AROUND", 8)
    options = (("movflags", flags),) if flags else ()
    path, shown = make(Case("libx264", "closed", "mp4", options=options), tmp_path)
    decoder = PyavDecoder(str(path))
    assert decoder.timeline.total == len(shown.numbers)
    assert (decoder._packets.table is not None) == (not flags)


@pytest.mark.parametrize("at", [30, 61])
def test_a_long_table_that_is_uneven_around_a_frame_is_not_believed(
    tmp_path, jumping, monkeypatch, at
):
    monkeypatch.setattr(packets, "LONG", 10)
    monkeypatch.setattr(packets, "AROUND", 8)
    monkeypatch.setattr(packets, "SAMPLES", 1)
    times = [n * 40 + (n == at + 1) for n in range(90)]
    path = encode(tmp_path / "clip.mp4", count=90, rate=25, times=times, x264="bframes=0")
    decoder = PyavDecoder(str(path))
    assert decoder._packets.table is not None
    with pytest.raises(PacketsMislead):
        list(decoder.frames([at]))
    assert_frames(PyavDecoder(str(path)), [at - 20, at + 25], every_frame(path))


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "mpeg4"])
def test_a_recording_that_begins_within_a_group_has_the_frames_from_its_first_key_on(
    tmp_path, monkeypatch, codec
):
    whole = encode(tmp_path / "whole.ts", count=60, codec=codec, gop=20)
    path = without_its_first_packets(whole, tmp_path / "cut.ts", 7)
    every = every_frame(path)
    for pixels in (0, 2**26):
        monkeypatch.setattr(pyav_decoder, "STRAIGHT_PIXELS", pixels)
        decoder = PyavDecoder(str(path))
        assert decoder.timeline.total == len(every) < 54
        try:
            assert_frames(decoder, [0, 1, len(every) - 1], every)
        except PacketsMislead:
            decoder = PyavDecoder(str(path), straight=True)
            assert_frames(decoder, [0, 1, len(every) - 1], every)


def without_its_first_packets(whole, path, count):
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = (packet for packet in source.demux(video=0) if packet.size)
        for packet in itertools.islice(packets, count, None):
            packet.stream = stream
            target.mux(packet)
    return path


def test_a_rate_that_the_time_stamps_contradict_is_not_believed(tmp_path):
    times = [n * 1000 // 30 + n % 3 for n in range(60)]
    path = encode(tmp_path / "clip.webm", count=60, codec="libvpx", rate=1000, times=times)
    decoder = PyavDecoder(str(path))
    assert decoder.timeline.rate() == pytest.approx(30, rel=0.03)
    assert np.abs(decoder.timeline.times - np.array(times) / 1000).max() <= 0.001


def test_frames_that_the_decoder_patched_up_are_counted(tmp_path):
    sound = encode(tmp_path / "clip.ts", count=24).read_bytes()
    path, notices = tmp_path / "damaged.ts", []
    for seed in range(20):
        data = np.frombuffer(sound, np.uint8).copy()
        rng = np.random.default_rng(seed)
        data[rng.integers(len(data), size=len(data) // 500)] ^= 0xFF
        path.write_bytes(data.tobytes())
        with contextlib.suppress(DecodeError):
            notices += PyavDecoder(str(path)).notices
    assert any(notice.endswith("frames are damaged") for notice in notices)
    assert not PyavDecoder(str(tmp_path / "clip.ts")).notices


def test_a_cover_picture_is_not_the_video(tmp_path):
    path = tmp_path / "clip.mp4"
    clip = encode(tmp_path / "plain.mp4", count=10)
    cover = encode(tmp_path / "cover.avi", count=1, codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(clip)) as video, av.open(str(cover)) as image, av.open(str(path), "w") as out:
        sources = [image.streams.video[0], video.streams.video[0]]
        targets = [out.add_stream_from_template(source) for source in sources]
        targets[0].disposition = av.stream.Disposition.attached_pic
        for source, target in zip((image, video), targets, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    assert PyavDecoder(str(path)).timeline.total == 10


@pytest.mark.parametrize("suffix", ["avi", "mov", "mkv"])
def test_what_pyav_has_no_name_for_is_passed_over(tmp_path, suffix):
    """A camera's Motion JPEG has EXIF in every frame, which FFmpeg 8 hands on as side data."""
    exif, path = Image.Exif(), tmp_path / f"camera.{suffix}"
    exif[271] = "Maker"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number in range(3):
            file = io.BytesIO()
            pixels = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, "JPEG", exif=exif)
            packet = av.Packet(file.getvalue())
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 10), True
            container.mux(packet)
    assert len(list(PyavDecoder(str(path)).frames(range(3)))) == 3
