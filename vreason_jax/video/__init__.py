"""File -> frames -> patches, in NumPy and PIL: nothing here imports JAX."""
