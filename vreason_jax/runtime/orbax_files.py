"""The converted form of the weights: an Orbax checkpoint in the folder `weights`.

It maps each parameter's dotted path to its array. Beside it lie the sizes of its files and their
digests, which are written last. Orbax is imported on use: it takes a second.
"""

import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from vreason_jax.errors import UserError, one_line
from vreason_jax.json_files import parse_json
from vreason_jax.regular_files import check_regular, read_text
from vreason_jax.runtime import memory

WEIGHTS = "weights"
SIZES = "weights.sizes.json"  # bytes of each file
DIGESTS = "weights.sha256"  # of each file, as sha256sum writes and checks them


def is_converted(folder: Path) -> bool:
    """Returns whether the folder holds converted weights; a draft of them counts as damaged ones.

    A folder of safetensors may have another thing of the name beside them.
    """
    if not (folder / WEIGHTS).is_dir():
        return False
    return (folder / SIZES).exists() or not any(folder.glob("*.safetensors"))


def save_arrays(folder: Path, arrays: dict[str, jax.Array]) -> None:
    """Writes the arrays to `folder`/weights, which must not exist, and the lists of its files.

    Raises OSError where the system refuses.
    """
    ocp = orbax()
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(_weights(folder), arrays)
    except Exception as error:  # of many kinds: Orbax has no class for a full disk
        raise OSError(_reason(error)) from None
    sizes = {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in sorted((folder / WEIGHTS).rglob("*"))
        if file.is_file()
    }
    (folder / SIZES).write_text(json.dumps(sizes, indent=1) + "\n")
    lines = [f"{digest}  {name}\n" for name, digest in _digests(folder, list(sizes)).items()]
    (folder / DIGESTS).write_text("".join(lines))


def check_files(folder: Path, *, verify: bool, warn: Callable[[str], None]) -> None:
    """Raises UserError for files that are missing, cut, or (`verify`) hold other bytes.

    Orbax would find out half-way, and its threads go on to write to stderr after the program's
    last word; of other bytes it makes other weights. `warn` takes a line where a folder has no
    digests, as older ones do.
    """
    sizes = _check_sizes(folder)
    if not verify:
        return
    if not (folder / DIGESTS).exists():
        warn(
            f"{folder}: there is no {DIGESTS}, so the weights' bytes are not checked; "
            "convert the checkpoint anew to have it"
        )
        return
    expected = _stored_digests(folder)
    if expected.keys() != sizes.keys():
        raise _damaged(folder, f"{SIZES} and {DIGESTS} name different files")
    try:
        came = _digests(folder, list(sizes))
    except OSError as error:
        raise _damaged(folder, error) from None
    for name, digest in came.items():
        if digest != expected[name]:
            raise _damaged(folder, f"{name} holds other bytes than were written ({DIGESTS})")


def array_metadata(folder: Path) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns shape and dtype of every array; raises UserError for a damaged checkpoint."""
    ocp = orbax()
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            tree = checkpointer.metadata(_weights(folder)).item_metadata.tree
        return {path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in tree.items()}
    except Exception as error:  # of many kinds: Orbax has no class for a damaged checkpoint
        raise _damaged(folder, error) from None


def load_arrays(folder: Path, abstract: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
    """Returns those arrays, each read straight into the sharding and dtype of its abstract one."""
    ocp = orbax()
    restore_args = ocp.checkpoint_utils.construct_restore_args(abstract)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            return checkpointer.restore(
                _weights(folder),
                args=ocp.args.PyTreeRestore(
                    item=abstract, restore_args=restore_args, partial_restore=True
                ),
            )
    except Exception as error:
        if memory.is_lack(error):
            raise
        raise _damaged(folder, error) from None


@functools.cache
def orbax() -> Any:
    """Returns the imported Orbax, and silences its threads.

    Where it fails they still hand their results to an event loop that has ended, and Python prints
    a traceback for each.
    """
    import orbax.checkpoint as ocp

    report = sys.unraisablehook

    def report_others(raised: Any) -> None:
        if str(raised.exc_value) != "Event loop is closed":
            report(raised)

    sys.unraisablehook = report_others
    return ocp


def _check_sizes(folder: Path) -> dict[str, int]:
    """Returns the sizes of the files by name, once they are found to be so."""
    try:
        sizes = parse_json(read_text(folder / SIZES))
        if not sizes:
            raise ValueError(f"{SIZES} names no file")
        for name, size in sizes.items():
            if not name.startswith(f"{WEIGHTS}/") or ".." in name.split("/"):
                raise ValueError(f"{SIZES} names a file outside {WEIGHTS}")
            check_regular(folder / name)
            came = (folder / name).stat().st_size
            if came != size:
                raise ValueError(f"{name} has {came} bytes, expected {size}")
    except FileNotFoundError as error:
        raise _damaged(folder, f"{error.filename} is missing") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise _damaged(folder, error) from None
    return sizes


def _stored_digests(folder: Path) -> dict[str, str]:
    try:
        lines = read_text(folder / DIGESTS).splitlines()
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from None
    pairs = (line.partition(" ") for line in lines)
    return {name[1:]: digest for digest, _, name in pairs}  # behind a space or, of -b, an asterisk


def _digests(folder: Path, names: list[str]) -> dict[str, str]:
    """The SHA-256 of each file, read in as many threads as there are cores."""

    def digest(name: str) -> str:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(names, threads.map(digest, names), strict=True))


def _reason(error: Exception) -> str:
    """What the system said, of an error that quotes many paths before it."""
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(found[1])) if found else one_line(error)


def _weights(folder: Path) -> Path:
    return folder.resolve() / WEIGHTS  # Orbax wants an absolute path


def _damaged(folder: Path, error: Exception | str) -> UserError:
    return UserError(f"{folder / WEIGHTS}: expected a whole Orbax checkpoint: {one_line(error)}")
