"""A run: what is asked of which methods, in batches, from its start to its last line."""
