"""Finds a record's video below the data folder, where copies differ in folders and suffixes."""

import functools
import os
from pathlib import Path, PurePosixPath

from vreason_jax.errors import UserError
from vreason_jax.evaluation.benchmarks.record import Record
from vreason_jax.video.images import IMAGE_SUFFIXES
from vreason_jax.video.names import same_form

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v")
# Folders that tell nothing of a video: copies have others, or none.
_PLAIN_FOLDERS = ("video", "videos", "data", "evaluation", "eval", "test", "validation")


def locate(record: Record, data_dir: str | Path, *, allow_outside: bool = False) -> Path:
    """Returns the file or folder of frames of a record.

    It is the record's path below `data_dir` if something is there; else the one video of the same
    name, suffix and case aside, that lies in a folder of the record's last telling one ("Law" of
    "Evaluation/MMVU/videos/Law/10.mp4"). Names are compared in Unicode's NFC. Raises UserError for
    none, for several, and for one that symbolic links place outside of `data_dir`.
    """
    exact = below(data_dir, record.video, allow_outside=allow_outside)
    if exact.exists():
        return exact
    names = _tree(os.path.abspath(data_dir), allow_outside)
    wanted = PurePosixPath(record.video)
    telling = _telling_folder(wanted, record.benchmark)
    found = [
        PurePosixPath(path)
        for path in names.get(_key(_stem(wanted.name)), ())
        if not telling or telling in [_key(part) for part in PurePosixPath(path).parts[:-1]]
    ]
    best = _closest([path for path in found if (Path(data_dir) / path).exists()], wanted)
    if len(best) == 1:
        return below(data_dir, best[0], allow_outside=allow_outside)
    if not best:
        raise UserError(f"{exact}: expected a video, found none of this name below {data_dir}")
    raise UserError(
        f"{exact}: expected one video of this name below {data_dir}, "
        f"found {len(best)}: {best[0]}, {best[1]}"
    )


def below(data_dir: str | Path, path: str | PurePosixPath, *, allow_outside: bool = False) -> Path:
    """Returns a path below the data folder; raises UserError for one that links lead out of it."""
    full = Path(data_dir) / path
    if not allow_outside and not _is_inside(full, data_dir):
        raise UserError(
            f"{full}: expected a file below {data_dir}, a symbolic link leads out to "
            f"{os.path.realpath(full)}; --allow-outside permits it"
        )
    return full


def _is_inside(path: str | Path, folder: str | Path) -> bool:
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


def _closest(found: list[PurePosixPath], wanted: PurePosixPath) -> list[PurePosixPath]:
    """Returns the paths that are nearest: case before suffix, both before the common folders."""
    if not found:
        return []

    def nearness(path: PurePosixPath) -> tuple[bool, bool, int]:
        same_case = same_form(_stem(path.name)) == same_form(_stem(wanted.name))
        ours, theirs = path.parts[-2::-1], wanted.parts[-2::-1]
        shared = 0
        for left, right in zip(ours, theirs, strict=False):
            if _key(left) != _key(right):
                break
            shared += 1
        return same_case, path.suffix.lower() == wanted.suffix.lower(), shared

    best = max(map(nearness, found))
    return [path for path in found if nearness(path) == best]


def _telling_folder(path: PurePosixPath, benchmark: str) -> str:
    plain = (*_PLAIN_FOLDERS, benchmark)
    names = [_key(part) for part in path.parts[:-1]]
    telling = [name for name in names if name.replace("-", "").replace("_", "") not in plain]
    return telling[-1] if telling else ""


def _stem(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in VIDEO_SUFFIXES else name


def _key(name: str) -> str:
    return same_form(name).casefold()


@functools.lru_cache(maxsize=4)
def _tree(folder: str, allow_outside: bool) -> dict[str, tuple[str, ...]]:
    """Returns the videos and the folders of frames below a folder, by name in one case."""
    names: dict[str, list[str]] = {}
    seen: set[str] = set()
    for base, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(base)
        outside = not (allow_outside or _is_inside(real, folder))
        if real in seen or outside:  # a link back into what was walked, or out of the folder
            folders.clear()
            continue
        seen.add(real)
        inside = [file for file in files if file.lower().endswith(VIDEO_SUFFIXES)]
        for file in inside:
            _add(names, folder, os.path.join(base, file), _stem(file))
        if base != folder and any(file.lower().endswith(IMAGE_SUFFIXES) for file in files):
            _add(names, folder, base, os.path.basename(base))
    return {name: tuple(sorted(paths)) for name, paths in names.items()}


def _add(names: dict[str, list[str]], folder: str, path: str, stem: str) -> None:
    relative = Path(os.path.relpath(path, folder)).as_posix()
    names.setdefault(_key(stem), []).append(relative)
