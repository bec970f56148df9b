"""Where the delta acts: a decode step up to there, and the rest of it as a function of the delta.

The loop is given a placement and never asks which: another placement is another class beside those
of `placements`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from flax import struct
from jax.sharding import Mesh

from vreason_jax.arrays import Array
from vreason_jax.model.cache import KVCache
from vreason_jax.model.config import TextConfig
from vreason_jax.model.decoder import Decoder

Sizes = tuple[int, int, int, int]  # K, M and H of a row's delta, and how often each head is seen


class Target(struct.PyTreeNode):
    """What a batch's answers are steered at; the same for a whole answer."""

    mask: Array  # [B, K, M] bool, which of the places that a delta has it may act on
    start: Array | None = None  # int32, the cache slot that places count from; None: the first


class Fed(NamedTuple):
    """One token of every row, on its way into the decoder."""

    x: jax.Array  # [B, 1, D]
    positions: jax.Array  # [3, B, 1] int32
    slot: jax.Array  # int32, where its keys and values go
    mask: jax.Array  # [B, S] bool, the slots before it that it attends to
    mesh: Mesh | None = None  # that all of it lies on


class Step(NamedTuple):
    """A decode step up to where the delta acts."""

    # Gives the logits [B, V] under a shift V_new - V [B, K, M, H], and what else depends on it.
    tail: Callable[[jax.Array], tuple[jax.Array, Any]]
    values: Callable[[], jax.Array]  # V [B, K, M, H], each head once
    mask: jax.Array  # [B, K, M] bool, the places that the delta acts on at this token
    cache: Callable[[Any], KVCache]  # with the token in it, of what the tail gave beside logits


class Placement(Protocol):
    """Where the delta acts. Equal placements share their programs."""

    @property
    def additive(self) -> bool:
        """Whether what is steered takes the delta as it is, and no norm is kept."""
        ...

    def target(self, mask: np.ndarray, answer: int) -> Target:
        """Returns the target of a batch, of the slots [B, K, S] bool that are to be steered.

        `answer` is the slot of the answers' first tokens.
        """
        ...

    def sizes(self, target: Target, text: TextConfig) -> Sizes:
        """Returns the sizes of the delta."""
        ...

    def left(self, slot: jax.Array, target: Target) -> jax.Array | None:
        """Returns the places [M] bool that belong to another token from `slot` on, if any ever do.

        The delta is 0 there again.
        """
        ...

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the step of one token."""
        ...
