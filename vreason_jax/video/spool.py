"""Pipes as files: a pipe is read once, to its end, into a file that the readers can search."""

import contextlib
import os
import select
import stat
import sys
import time
from collections.abc import Iterator

from vreason_jax.errors import UserError

STDIN = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
CHUNK = 2**20
LEFT_FREE = 2**28  # bytes of the disk


def kind_of(path: str) -> str:
    """Returns file, folder or pipe; raises UserError where nothing can be read there."""
    try:
        mode = os.fstat(0).st_mode if path == "-" else os.stat(path).st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"expected a file or a folder of frames: {reason}") from None
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISFIFO(mode) or (stat.S_ISSOCK(mode) and path in STDIN):
        return "pipe"
    if stat.S_ISREG(mode):
        return "file" if path != "-" and os.path.exists(os.path.realpath(path)) else "pipe"
    devices = {stat.S_ISCHR: "a character device", stat.S_ISBLK: "a block device"}
    name = next((name for test, name in devices.items() if test(mode)), "a socket")
    if stat.S_ISCHR(mode) and path in STDIN and os.isatty(0):
        name = "a terminal"
    raise UserError(f"expected a file, a folder of frames or a pipe, got {name}")


@contextlib.contextmanager
def inheritable(path: str) -> Iterator[tuple[str, list[int]]]:
    """Gives a pipe's path as another process sees it, and the descriptors that it must inherit."""
    own = STDIN if path in STDIN else ()
    number = 0 if own else _descriptor_of(path)
    if number is None:
        yield path, []
        return
    copy = os.dup(number)
    try:
        yield f"/dev/fd/{copy}", [copy]
    finally:
        os.close(copy)


def copy_stream(source: str, target: int) -> int:
    """Copies a pipe to its end into the file `target`; returns how many bytes came.

    It waits for a writer as long as it is let live. Raises UserError where the disk is full.
    """
    inherited = _descriptor_of(source)
    # A pipe opened without waiting has no end before its first writer, as poll knows.
    stream = inherited if inherited is not None else os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    total = 0
    disk = os.fstatvfs(target)
    room = disk.f_bavail * disk.f_frsize - LEFT_FREE
    poll = select.poll()
    poll.register(stream, select.POLLIN | select.POLLHUP)
    while True:
        if not poll.poll(1000):
            continue
        try:
            chunk = os.read(stream, CHUNK)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        if not chunk:
            return total
        total += len(chunk)
        if total > room:
            raise UserError(f"the pipe gives more than the {room} bytes that the disk has room for")
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


def _descriptor_of(path: str) -> int | None:
    folder, name = os.path.split(path)
    own = ("/dev/fd", "/proc/self/fd", f"/proc/{os.getpid()}/fd")
    return int(name) if folder in own and name.isdecimal() and sys.platform != "win32" else None
