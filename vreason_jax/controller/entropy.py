"""Shannon entropy of the next-token distribution."""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def token_entropy(logits: jax.Array) -> jax.Array:
    """Returns the entropy in nats of softmax(logits) over the last axis, float32.

    With z' = z - max z and one largest logit set apart, H = log1p(sum over the others of e^z')
    - E[z'] and dH/dz_i = -p_i (z'_i - E[z']). Both are sums of numbers of one sign, so value and
    gradient keep their digits where the model is sure: AdamW divides by the gradient's size, and
    noise would move the delta by full steps. Logits of -inf have probability 0. Logits that are
    not finite otherwise give NaN.
    """
    others, _, mean = _moments(logits.astype(jnp.float32))
    return jnp.log1p(others) - mean


def _moments(logits):
    """Sum of e^z' over all but one largest logit, z' with 0 for -inf, and E[z']."""
    largest = jnp.max(logits, axis=-1, keepdims=True)
    shifted = logits - largest
    possible = shifted != -jnp.inf
    shifted = jnp.where(possible, shifted, 0.0)
    weights = jnp.where(possible, jnp.exp(shifted), 0.0)
    best = jnp.argmax(logits, axis=-1, keepdims=True)
    first = jnp.arange(logits.shape[-1]).reshape((1,) * (logits.ndim - 1) + (-1,)) == best
    others = jnp.sum(jnp.where(first, 0.0, weights), axis=-1)
    mean = jnp.sum(weights * shifted, axis=-1) / (1.0 + others)
    return others, (weights, shifted), mean


@token_entropy.defjvp
def _slope(primals, tangents):
    (logits,), (change,) = primals, tangents
    others, (weights, shifted), mean = _moments(logits.astype(jnp.float32))
    mean, total = (jnp.broadcast_to(a[..., None], shifted.shape) for a in (mean, 1.0 + others))
    slope = -weights / total * (shifted - mean)
    return token_entropy(logits), jnp.sum(slope * change.astype(jnp.float32), axis=-1)
