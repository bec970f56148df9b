"""`python -m convert`: the converter from a checkout; the code is vreason_jax.convert."""
