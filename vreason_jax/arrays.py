"""The type of a record's fields where the host fills it and the device reads it."""

from typing import Any

Array = Any  # np.ndarray or a NumPy scalar where it is made, jax.Array where it is read
