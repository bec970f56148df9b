"""The decoding process: what hangs, crashes or chatters in it stays in it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from video_files import assert_one_line_error, encode, error_of, needs_decord, read

from vreason_jax.video import process


def worker_that(monkeypatch, body):
    """Puts another program in the worker's place."""
    monkeypatch.setattr(process, "WORKER", [sys.executable, "-c", body])


@needs_decord
def test_decord_is_given_up_with_a_notice_where_its_frames_are_others(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=20, gop=5)
    expected = read(path, reader="pyav")
    body = (
        "from vreason_jax.video import worker\n"
        "frames = worker.DecordDecoder.frames\n"
        "def late(self, indices):\n    return frames(self, [max(0, n - 1) for n in indices])\n"
        "worker.DecordDecoder.frames = late; worker.main()"
    )
    worker_that(monkeypatch, body)
    clip = read(path, reader="decord")
    assert clip.reader == "pyav"
    assert "3 of 4 frames of decord are not those asked for" in clip.notices[0]
    np.testing.assert_array_equal(clip.frames, expected.frames)


def test_a_worker_keeps_no_memory_of_the_clips_before(tmp_path):
    path = encode(tmp_path / "clip.mp4", count=60, size=(240, 320))

    def memory_after(reads):
        for _ in range(reads):
            read(path)
        (worker,) = (c for c in psutil.Process().children() if "worker" in " ".join(c.cmdline()))
        return worker.memory_info().rss

    with process.kept_worker():
        first = memory_after(4)
        # A decoder that waits for Python's collector would leave some 10 MB a clip.
        assert memory_after(16) - first < 50e6


@needs_decord
def test_auto_reads_by_decord_where_pyav_is_not_installed(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=6)
    body = "import sys; sys.modules['av'] = None; from vreason_jax.video import worker"
    worker_that(monkeypatch, body + "; worker.main()")
    clip = read(path)
    assert clip.reader == "decord"
    assert "read by decord, unchecked, since PyAV is not installed" in clip.notices[0]
    assert "PyAV is not installed" in error_of(path, reader="pyav")


@pytest.mark.parametrize("reader", ["pyav", pytest.param("auto", marks=needs_decord)])
def test_a_reader_that_hangs_costs_its_share_of_the_deadline(tmp_path, monkeypatch, reader):
    path = encode(tmp_path / "clip.mp4", count=6)
    body = (
        "import io, json, sys, time\nrequest = json.load(sys.stdin)\n"
        "if request['reader'] == 'pyav': time.sleep(99)\n"
        "sys.stdin = io.StringIO(json.dumps(request))\n"
        "from vreason_jax.video import worker; worker.main()"
    )
    worker_that(monkeypatch, body)
    start = time.monotonic()
    if reader == "pyav":
        assert_one_line_error(path, "not decoded within", reader="pyav", timeout_seconds=1.0)
        assert time.monotonic() - start < 10
    else:
        clip = read(path, timeout_seconds=12.0)
        assert clip.reader == "decord"
        assert "not decoded within 9 seconds by pyav" in clip.notices[0]


def test_a_pipe_that_nobody_writes_to_costs_its_deadline_and_one_error(tmp_path):
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    start = time.monotonic()
    # What is left of the second where the machine is busy: a little less than 1.
    assert_one_line_error(path, "not decoded within", timeout_seconds=1.0)
    assert time.monotonic() - start < 10
    assert "--set video.timeout_seconds=1.4" in error_of(path, timeout_seconds=0.7)
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        if b"vreason_jax.video.worker" in contents_of(command):
            parent = int(contents_of(command.parent / "stat").rpartition(b")")[2].split()[1])
            assert parent != os.getpid()  # killed and waited for


def test_a_pipe_is_read_to_its_end(tmp_path):
    whole = encode(tmp_path / "clip.mp4", count=6)
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    with subprocess.Popen(["sh", "-c", 'cat "$0" > "$1"', whole, path]):
        clip = read(path)
    np.testing.assert_array_equal(clip.frames, read(whole).frames)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero"])
def test_a_device_is_one_error(path):
    assert_one_line_error(path, "got a character device")


@pytest.mark.skipif(sys.platform != "linux", reason="parents that die are noticed on Linux")
def test_the_worker_dies_with_its_parent(tmp_path):
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    script = (
        "from vreason_jax.config import VideoConfig\n"
        "from vreason_jax.video.reader import read_video\n"
        "from vreason_jax.geometry import Geometry\n"
        "from vreason_jax.video.resize import PixelLimits, Sizing\n"
        "sizing = Sizing(Geometry(14, 2, 2), PixelLimits(784, 3136))\n"
        f"read_video({str(path)!r}, VideoConfig(), sizing)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(process.PACKAGE_PARENT)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    writer = os.open(path, os.O_WRONLY)  # returns when the worker has opened the pipe
    parent.kill()
    parent.wait()
    assert ends_within(writer, 10)


def ends_within(writer, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.write(writer, b"more")
        except BrokenPipeError:  # nobody reads any more
            os.close(writer)
            return True
        time.sleep(0.1)
    return False


def contents_of(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""  # ended in the meantime


def test_a_reader_that_crashes_is_one_error(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=2)
    worker_that(monkeypatch, "import os; os.kill(os.getpid(), 11)")
    assert "the reader pyav crashed (SIGSEGV)" in error_of(path, reader="pyav")


@needs_decord
def test_auto_goes_on_with_decord_after_a_crash(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=2)
    body = (
        "import io, json, os, sys\nrequest = json.load(sys.stdin)\n"
        "if request['reader'] == 'pyav': os.kill(os.getpid(), 6)\n"
        "sys.stdin = io.StringIO(json.dumps(request))\n"
        "from vreason_jax.video import worker; worker.main()"
    )
    worker_that(monkeypatch, body)
    clip = read(path)
    assert clip.reader == "decord"
    assert "crashed (SIGABRT)" in clip.notices[0]


def test_a_bug_in_the_worker_is_no_user_error(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=2)
    worker_that(monkeypatch, "raise ZeroDivisionError('here')")
    with pytest.raises(RuntimeError, match="ZeroDivisionError: here"):
        read(path)


def test_what_native_readers_print_does_not_reach_the_reply(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=4)
    body = (
        "import os; from vreason_jax.video import worker; read = worker.read_file\n"
        "def loud(*args):\n    os.write(1, b'chatter' * 9999); return read(*args)\n"
        "worker.read_file = loud; worker.main()"
    )
    expected = read(path).frames
    worker_that(monkeypatch, body)
    np.testing.assert_array_equal(read(path).frames, expected)


def test_the_worker_loads_no_jax_and_only_the_reader_asked_for(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=4)
    body = (
        "import json, sys; from vreason_jax.video import worker; reply = worker._reply\n"
        "def reply_after_a_look(payload, header, frames):\n"
        "    header['notices'] = [json.dumps(list(sys.modules))]; reply(payload, header, frames)\n"
        "worker._reply = reply_after_a_look; worker.main()"
    )
    worker_that(monkeypatch, body)
    modules = json.loads(read(path).notices[0].removeprefix(f"{path}: "))
    assert "av" in modules
    assert not {"jax", "flax", "torch", "transformers", "decord"} & set(modules)


def test_a_deadline_may_be_endless(tmp_path):
    path = encode(tmp_path / "clip.mp4", count=4)
    assert len(read(path, timeout_seconds=float("inf")).frames) == 4


def test_a_caller_needs_no_main_guard(tmp_path):
    path = encode(tmp_path / "clip.mp4", count=4)
    script = tmp_path / "caller.py"
    script.write_text(
        "print('once')\n"
        "from vreason_jax.config import VideoConfig\n"
        "from vreason_jax.video.reader import read_video\n"
        "from vreason_jax.geometry import Geometry\n"
        "from vreason_jax.video.resize import PixelLimits, Sizing\n"
        "sizing = Sizing(Geometry(14, 2, 2), PixelLimits(784, 3136))\n"
        f"print(read_video({str(path)!r}, VideoConfig(), sizing).frames.shape)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(process.PACKAGE_PARENT)}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "once\n(4, 28, 56, 3)\n"
    assert done.stderr == ""
