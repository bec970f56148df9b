"""Orbax snapshots of a run, from which it continues after a kill with the same bytes."""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

_KEPT = 2


def save(folder: Path, step: int, tree: Any) -> None:
    """Writes the tree of arrays as the snapshot after `step` steps, and removes old ones.

    A snapshot gets its name only when it is complete.
    """
    import orbax.checkpoint as ocp

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
    """Returns the snapshot after `step` steps as NumPy arrays in a tree like `like`."""
    import orbax.checkpoint as ocp

    with ocp.PyTreeCheckpointer() as checkpointer:
        count = len(jax.tree.leaves(like))
        names = [f"{number:04d}" for number in range(count)]
        arguments = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in names}
        leaves = checkpointer.restore(
            _path(folder, step), args=ocp.args.PyTreeRestore(restore_args=arguments)
        )
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in names])


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def _path(folder: Path, step: int) -> Path:
    return folder.resolve() / f"{step:08d}"
