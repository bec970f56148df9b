"""V-Reason in JAX.

Data flows one way, and the folders follow it:

    video/  file -> frames -> patches        prompt/  question -> tokens and positions
    model/  vision tower, decoder, cache     controller/  the method: entropy, EMA, alpha, delta
    decoding/  the scan over tokens          engine/  from questions to answers
    output/  trace, plot, warnings

Letters used in shapes and einsums: B batch, T tokens in this call, S cache slots, N query heads,
K key/value heads, G = N/K, H head width, D model width, F frames, V vocabulary, L layers,
P patches, M video tokens.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Answer", "Reasoner", "UserError", "load"]

if TYPE_CHECKING:
    from vreason_jax.api import Answer, Reasoner, load
    from vreason_jax.errors import UserError


def __getattr__(name: str) -> Any:
    """Imports the public names on first use: `import vreason_jax` alone loads no JAX."""
    if name == "UserError":
        from vreason_jax.errors import UserError

        return UserError
    if name in __all__:
        from vreason_jax import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
