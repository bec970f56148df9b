"""The inputs of the model as one .npz file under transformers' names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vreason_jax.output.files import write_atomic


def dump_inputs(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays by name to `path`, whatever its suffix, completely or not at all.

    The file is uncompressed, as patches hardly shrink. Raises ValueError for an array of objects,
    which would need pickling.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype == object:
            raise ValueError(f"dump_inputs: {name} is an array of objects")
    # Through an open file: given a name, NumPy would append .npz to it.
    write_atomic(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
