"""Shannon entropy of the next-token distribution."""

import jax
import jax.numpy as jnp
from jax import lax


def token_entropy(logits: jax.Array) -> jax.Array:
    """Returns the entropy in nats of softmax(logits) over the last axis, float32.

    log-sum-exp minus the expected logit, relative to the largest logit. Logits of -inf have
    probability 0 and are replaced inside the expectation before the product: both the value and the
    gradient -p_i (log p_i + H) stay finite, which neither -sum p log p nor entr(softmax) gives.
    """
    logits = logits.astype(jnp.float32)
    shifted = logits - lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    finite = jnp.isfinite(shifted)
    shifted = jnp.where(finite, shifted, 0.0)
    weights = jnp.where(finite, jnp.exp(shifted), 0.0)
    total = jnp.sum(weights, axis=-1)
    return jnp.log(total) - jnp.sum(weights * shifted, axis=-1) / total
