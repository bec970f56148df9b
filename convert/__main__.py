"""Runs vreason_jax.convert; exit code 2 for wrong input, with the reason on stderr."""

import sys

from vreason_jax.convert.__main__ import main

sys.exit(main())
