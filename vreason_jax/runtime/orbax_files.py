"""The converted form of the weights: an Orbax checkpoint in the folder `weights`.

It maps each parameter's dotted path to its array. Orbax is imported on use: it takes a second.
"""

import json
from pathlib import Path

import jax

from vreason_jax.errors import UserError

WEIGHTS = "weights"
SIZES = "weights.sizes.json"  # beside it: bytes of each of its files


def is_converted(folder: Path) -> bool:
    """Returns whether the folder holds converted weights."""
    return (folder / WEIGHTS).is_dir()


def save_arrays(folder: Path, arrays: dict[str, jax.Array]) -> None:
    """Writes the arrays to `folder`/weights, which must not exist, and the list of its files."""
    import orbax.checkpoint as ocp

    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(_weights(folder), arrays)
    sizes = {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in sorted((folder / WEIGHTS).rglob("*"))
        if file.is_file()
    }
    (folder / SIZES).write_text(json.dumps(sizes, indent=1) + "\n")


def array_metadata(folder: Path) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns shape and dtype of every array; raises UserError for a damaged checkpoint."""
    _check_files(folder)
    import orbax.checkpoint as ocp

    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            tree = checkpointer.metadata(_weights(folder)).item_metadata.tree
        return {path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in tree.items()}
    except Exception as error:  # of many kinds: Orbax has no class for a damaged checkpoint
        raise _damaged(folder, error) from None


def load_arrays(folder: Path, abstract: dict[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
    """Returns the arrays, each read straight into the sharding and dtype of its abstract one."""
    import orbax.checkpoint as ocp

    restore_args = ocp.checkpoint_utils.construct_restore_args(abstract)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            return checkpointer.restore(
                _weights(folder),
                args=ocp.args.PyTreeRestore(item=abstract, restore_args=restore_args),
            )
    except Exception as error:
        raise _damaged(folder, error) from None


def _check_files(folder: Path) -> None:
    """Raises UserError for a missing or truncated file.

    Orbax would find out half-way, and its threads go on to write to stderr after the program's
    last word.
    """
    try:
        sizes = json.loads((folder / SIZES).read_text())
        for name, size in sizes.items():
            came = (folder / name).stat().st_size
            if came != size:
                raise _damaged(folder, f"{name} has {came} bytes, expected {size}")
    except FileNotFoundError as error:
        raise _damaged(folder, f"{error.filename} is missing") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise _damaged(folder, error) from None


def _weights(folder: Path) -> Path:
    return folder.resolve() / WEIGHTS  # Orbax wants an absolute path


def _damaged(folder: Path, error: Exception | str) -> UserError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return UserError(f"{folder / WEIGHTS}: expected a whole Orbax checkpoint: {reason}")
