"""Small files read whole: only regular ones, so that no pipe or device can block or fill memory."""

import errno
import os
import stat
from pathlib import Path

LARGEST = 2**29  # bytes; the largest tokenizer files have some 10^7

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: str | Path) -> None:
    """Raises OSError unless a regular file lies at `path` (or where its symbolic link leads)."""
    try:
        _check(os.stat(path), path)
    except ValueError as error:  # of a NUL or a lone surrogate in the name
        raise OSError(errno.EINVAL, f"no possible file name: {error}", str(path)) from None


def read_bytes(path: str | Path, largest: int = LARGEST) -> bytes:
    """Returns what a regular file holds; raises OSError for any other, or a larger one."""
    check_regular(path)
    # A pipe that has come in between is opened without waiting for a writer, and found out.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        _check(status, path)
        if status.st_size > largest:
            reason = f"has {status.st_size} bytes, more than {largest}"
            raise OSError(errno.EFBIG, reason, str(path))
        return file.read(largest)


def read_text(path: str | Path, largest: int = LARGEST) -> str:
    """Returns a regular file's text, in UTF-8 with or without a byte order mark.

    Line ends are those of the file. Raises OSError as `read_bytes` and UnicodeDecodeError.
    """
    return read_bytes(path, largest).decode("utf-8-sig")


def _check(status: os.stat_result, path: str | Path) -> None:
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise OSError(errno.EINVAL, f"is {words}, no regular file", str(path))
