"""The decoding process: what hangs, crashes or chatters in it stays in it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from video_files import READERS, assert_one_line_error, encode, error_of, needs_decord, read

from vreason_jax.video import process


def worker_that(monkeypatch, body):
    """Puts another program in the worker's place."""
    monkeypatch.setattr(process, "WORKER", [sys.executable, "-c", body])


@needs_decord
def test_auto_falls_back_to_pyav_where_decord_fails_and_says_so(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=6)
    expected = read(path)
    body = (
        "from vreason_jax.video import worker\n"
        "def frames(self, indices):\n"
        "    yield from ()\n"
        "    raise worker.DecodeError('decord: out of frames')\n"
        "worker.DECODERS['decord'].frames = frames; worker.main()"
    )
    worker_that(monkeypatch, body)
    clip = read(path)
    assert clip.reader == "pyav"
    assert "since another reader failed: decord: out of frames" in clip.notices[0]
    np.testing.assert_array_equal(clip.frames, expected.frames)
    assert "decord: out of frames" in error_of(path, reader="decord")


def test_auto_reads_by_pyav_where_decord_is_not_installed(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=6)
    body = "import sys; sys.modules['decord'] = None; from vreason_jax.video import worker"
    worker_that(monkeypatch, body + "; worker.main()")
    clip = read(path)
    assert (clip.reader, clip.notices) == ("pyav", ())
    assert "decord is not installed" in error_of(path, reader="decord")


def test_a_reader_that_hangs_costs_its_deadline_and_one_error(tmp_path):
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)  # opening it waits for a writer that never comes
    start = time.monotonic()
    assert_one_line_error(path, "not decoded within 1 seconds", timeout_seconds=1.0)
    assert time.monotonic() - start < 10
    assert "--set video.timeout_seconds=1.4," in error_of(path, timeout_seconds=0.7)
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        if b"vreason_jax.video.worker" in contents_of(command):
            parent = int(contents_of(command.parent / "stat").rpartition(b")")[2].split()[1])
            assert parent != os.getpid()  # killed and waited for


def contents_of(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""  # ended in the meantime


def test_a_reader_that_crashes_is_one_error(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=2)
    worker_that(monkeypatch, "import os; os.kill(os.getpid(), 11)")
    error = error_of(path, reader="decord")
    assert "the reader decord crashed (SIGSEGV)" in error
    assert "video.reader=pyav" in error


def test_auto_goes_on_with_pyav_after_a_crash(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=2)
    body = (
        "import io, json, os, sys\nrequest = json.load(sys.stdin)\n"
        "if request['readers'][0] == 'decord': os.kill(os.getpid(), 6)\n"
        "sys.stdin = io.StringIO(json.dumps(request))\n"
        "from vreason_jax.video import worker; worker.main()"
    )
    worker_that(monkeypatch, body)
    clip = read(path)
    assert clip.reader == "pyav"
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


@needs_decord
def test_the_worker_loads_no_jax_and_only_the_reader_asked_for(tmp_path, monkeypatch):
    path = encode(tmp_path / "clip.mp4", count=4)
    body = (
        "import json, sys; from vreason_jax.video import worker; reply = worker._reply\n"
        "def reply_after_a_look(payload, header, frames):\n"
        "    header['notices'] = [json.dumps(list(sys.modules))]; reply(payload, header, frames)\n"
        "worker._reply = reply_after_a_look; worker.main()"
    )
    worker_that(monkeypatch, body)
    packages = dict(zip(READERS, ("decord", "av"), strict=True))
    for ours, theirs in (READERS, READERS[::-1]):
        notice = read(path, reader=ours).notices[0]
        modules = json.loads(notice.removeprefix(f"{path}: "))
        assert packages[ours] in modules
        assert not {"jax", "flax", "torch", "transformers", packages[theirs]} & set(modules)


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
        "from vreason_jax.video.resize import PixelLimits\n"
        f"print(read_video({str(path)!r}, VideoConfig(), PixelLimits(784, 3136)).frames.shape)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(process.PACKAGE_PARENT)}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "once\n(4, 28, 56, 3)\n"
    assert done.stderr == ""
