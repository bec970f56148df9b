"""Finds a record's video below the data folder, where copies differ in folders and suffixes."""

import functools
import os
from pathlib import Path, PurePosixPath

from vreason_jax.errors import UserError
from vreason_jax.evaluation.record import Record
from vreason_jax.video.worker import FRAME_SUFFIXES

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v")
# Folders that tell nothing of a video: copies have others, or none.
_PLAIN_FOLDERS = ("video", "videos", "data", "evaluation", "eval", "test", "validation")


def locate(record: Record, data_dir: str | Path) -> Path:
    """Returns the file or folder of frames of a record.

    It is the record's path below `data_dir` if something is there; else the one video of the same
    name, suffix and case aside, that lies in a folder of the record's last telling one ("Law" of
    "Evaluation/MMVU/videos/Law/10.mp4"). Raises UserError for none, and for several.
    """
    exact = Path(data_dir) / record.video
    if exact.exists():
        return exact
    names = _tree(os.path.abspath(data_dir))
    wanted = PurePosixPath(record.video)
    telling = _telling_folder(wanted, record.benchmark)
    found = [
        PurePosixPath(path)
        for path in names.get(_stem(wanted.name).casefold(), ())
        if not telling or telling in [part.casefold() for part in PurePosixPath(path).parts[:-1]]
    ]
    best = _closest(found, wanted)
    if len(best) == 1:
        return Path(data_dir) / best[0]
    if not best:
        raise UserError(f"{exact}: expected a video, found none of this name below {data_dir}")
    raise UserError(
        f"{exact}: expected one video of this name below {data_dir}, "
        f"found {len(best)}: {best[0]}, {best[1]}"
    )


def _closest(found: list[PurePosixPath], wanted: PurePosixPath) -> list[PurePosixPath]:
    """Returns the paths that are nearest: case before suffix, both before the common folders."""
    if not found:
        return []

    def nearness(path: PurePosixPath) -> tuple[bool, bool, int]:
        same_case = _stem(path.name) == _stem(wanted.name)
        ours, theirs = path.parts[-2::-1], wanted.parts[-2::-1]
        shared = 0
        for left, right in zip(ours, theirs, strict=False):
            if left.casefold() != right.casefold():
                break
            shared += 1
        return same_case, path.suffix.lower() == wanted.suffix.lower(), shared

    best = max(map(nearness, found))
    return [path for path in found if nearness(path) == best]


def _telling_folder(path: PurePosixPath, benchmark: str) -> str:
    plain = (*_PLAIN_FOLDERS, benchmark)
    names = [part.casefold() for part in path.parts[:-1]]
    telling = [name for name in names if name.replace("-", "").replace("_", "") not in plain]
    return telling[-1] if telling else ""


def _stem(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in VIDEO_SUFFIXES else name


@functools.lru_cache(maxsize=4)
def _tree(folder: str) -> dict[str, tuple[str, ...]]:
    """Returns the videos and the folders of frames below a folder, by name in one case."""
    names: dict[str, list[str]] = {}
    seen: set[str] = set()
    for base, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(base)
        if real in seen:  # a link back into what was walked
            folders.clear()
            continue
        seen.add(real)
        inside = [file for file in files if file.lower().endswith(VIDEO_SUFFIXES)]
        for file in inside:
            _add(names, folder, os.path.join(base, file), _stem(file))
        if base != folder and any(file.lower().endswith(FRAME_SUFFIXES) for file in files):
            _add(names, folder, base, os.path.basename(base))
    return {name: tuple(sorted(paths)) for name, paths in names.items()}


def _add(names: dict[str, list[str]], folder: str, path: str, stem: str) -> None:
    relative = Path(os.path.relpath(path, folder)).as_posix()
    names.setdefault(stem.casefold(), []).append(relative)
