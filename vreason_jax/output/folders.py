"""Writes output folders whole or not at all."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_QUIET = 0.5  # seconds for which what was removed must stay away
_PATIENCE = 10.0  # seconds


@contextlib.contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yields a new folder, which becomes `target` where the block ends well, and is removed else.

    An older folder gives way to it. Raises OSError where the system refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A disk that is mounted there is written to itself, and so is a folder in another's.
    stays = os.path.ismount(target) or (target.is_dir() and not os.access(target.parent, os.W_OK))
    draft = Path(tempfile.mkdtemp(prefix=".vreason-", dir=target if stays else target.parent))
    try:
        new, old = draft / "new", draft / "old"
        new.mkdir()
        yield new
        _grant(new)
        if stays:
            old.mkdir()
            _move([entry for entry in target.iterdir() if entry != draft], old)
            _move(list(new.iterdir()), target)
        else:
            _put(new, target, old)
    except BaseException:
        _remove_for_good(draft)
        raise
    shutil.rmtree(draft, ignore_errors=True)


def _put(new: Path, target: Path, old: Path) -> None:
    """Moves `new` to `target`; what is there goes to `old`, and comes back where that fails."""
    if not target.exists():
        new.replace(target)
        return
    target.replace(old)
    try:
        new.replace(target)
    except OSError:
        old.replace(target)
        raise


def _move(entries: list[Path], folder: Path) -> None:
    """Moves them into a folder, last the config without which it is no checkpoint."""
    for entry in sorted(entries, key=lambda entry: entry.name == "config.json"):
        entry.replace(folder / entry.name)


def _remove_for_good(folder: Path) -> None:
    """Removes it again until it stays away.

    Where a write fails, other threads of the library that wrote go on, and make the folder anew.
    """
    limit = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < limit:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_QUIET)


def _grant(folder: Path) -> None:
    """Opens to whom the user's umask allows what libraries have made for its owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
