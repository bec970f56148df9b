"""What went into the model, as one .npz under transformers' names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vreason_jax.output.files import write_atomic


def dump_inputs(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays by their names, whole or not at all, at `path` whatever its suffix.

    Uncompressed, as patches hardly shrink; nothing in the file needs unpickling. Raises
    ValueError for an array of objects, which would.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype == object:
            raise ValueError(f"dump_inputs: {name} is an array of objects")
    # Through an open file: given a name, NumPy would append .npz to it.
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
