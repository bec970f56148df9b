"""Orbax snapshots of a run, from which it continues after a kill with the same bytes."""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vreason_jax.errors import UserError, one_line
from vreason_jax.runtime.orbax_files import orbax

_KEPT = 2


def save(folder: Path, step: int, tree: Any) -> None:
    """Writes the tree of arrays as the snapshot after `step` steps, and removes old ones.

    A snapshot gets its name only when it is complete.
    """
    ocp = orbax()
    leaves = {f"{number:04d}": leaf for number, leaf in enumerate(jax.tree.leaves(tree))}
    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(_path(folder, step), jax.tree.map(np.asarray, leaves), force=True)
    for old in _steps(folder)[:-_KEPT]:
        shutil.rmtree(_path(folder, old))


def latest(folder: Path) -> int | None:
    """Returns the number of steps of the newest snapshot, or None."""
    steps = _steps(folder)
    return steps[-1] if steps else None


def restore(folder: Path, step: int, like: Any) -> Any:
    """Returns the snapshot after `step` steps as NumPy arrays in a tree like `like`.

    Raises UserError for one that is damaged.
    """
    names = [f"{number:04d}" for number in range(len(jax.tree.leaves(like)))]
    try:
        leaves = _leaves(_path(folder, step), names)
        return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in names])
    except Exception as error:  # of many kinds: Orbax has no class for a damaged checkpoint
        raise UserError(
            f"expected a whole snapshot in {_path(folder, step)}: {one_line(error)}; remove that "
            "folder to go on from the one before"
        ) from None


def _leaves(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    ocp = orbax()
    arguments = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
    with ocp.PyTreeCheckpointer() as checkpointer:
        return checkpointer.restore(path, args=ocp.args.PyTreeRestore(restore_args=arguments))


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def _path(folder: Path, step: int) -> Path:
    return folder.resolve() / f"{step:08d}"
