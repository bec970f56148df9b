"""The placements (decoding/placement.py), and the config's choice among them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vreason_jax.config import ControllerConfig, placement_tokens, steered_layers
from vreason_jax.decoding import ladder
from vreason_jax.decoding.placement import Fed, Placement, Sizes, Step, Target
from vreason_jax.model.attention import step_context, step_weights
from vreason_jax.model.cache import KVCache, LayerCache, write_slot, write_slots
from vreason_jax.model.config import TextConfig
from vreason_jax.model.decoder import Decoder, body_layer


def placement_of(controller: ControllerConfig, layers: int) -> Placement:
    """Returns the placement of a config, in a decoder of so many layers; raises UserError."""
    match placement_tokens(controller.placement):
        case "hidden":
            return Hidden()
        case "logits":
            return Logits()
        case "answer":
            return AnswerValues(controller.recent)
        case tokens:
            window, chosen = tokens == "question", steered_layers(controller.placement, layers)
            return LayerValues(window, chosen) if chosen != (layers - 1,) else LastValues(window)


class _Values:
    """What placements at values of the cache have in common."""

    additive = False

    def sizes(self, target: Target, text: TextConfig) -> Sizes:
        """Returns the sizes of as many values as there are places."""
        _, heads, places = target.mask.shape
        return heads, places, text.head_width, text.kv_repeats

    def left(self, slot: jax.Array, target: Target) -> jax.Array | None:
        """Returns None: a prompt's places stay its tokens'."""
        return None


@dataclasses.dataclass(frozen=True)
class Nowhere(_Values):
    """Plain decoding: there is no delta."""

    def target(self, mask: np.ndarray, answer: int) -> Target:
        """Returns a target without places."""
        return Target(mask[..., :0])

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns a step whose tail does not look at its argument."""
        hidden, _, plain, cache = last_attention(decoder, cache, fed)
        nothing = jnp.zeros((*target.mask.shape, plain.shape[-1]), jnp.float32)
        tail = lambda shift: (decoder.last_logits(hidden, plain), ())  # noqa: E731
        return Step(tail, lambda: nothing, target.mask, lambda _: cache)


@dataclasses.dataclass(frozen=True)
class LastValues(_Values):
    """The last layer's values of the prompt's tokens.

    The places are cache slots: the first ones of the cache, or where `window` is set those from the
    first steered one on, which spares what stands before it.
    """

    window: bool = False

    def target(self, mask: np.ndarray, answer: int) -> Target:
        """Returns the slots up to the last that is steered, as many as the ladder has."""
        chosen = np.flatnonzero(mask.any(axis=(0, 1)))
        first = int(chosen[0]) if self.window else 0
        capacity = mask.shape[2]
        length = min(ladder.steered(int(chosen.max(initial=0)) + 1 - first), capacity)
        first = min(first, capacity - length)
        start = np.int32(first) if self.window else None
        return Target(mask[..., first : first + length], start)

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the step up to the last layer's context without a delta."""
        hidden, weights, plain, cache = last_attention(decoder, cache, fed)
        length = target.mask.shape[2]

        def tail(shift):
            seen = slots_of(weights, target.start, length, axis=3)
            return decoder.last_logits(hidden, plain + value_context(seen, shift)), ()

        def values():
            return slots_of(each_head_once(cache.last, decoder), target.start, length, axis=2)

        return Step(tail, values, target.mask, lambda _: cache)


@dataclasses.dataclass(frozen=True)
class LayerValues(LastValues):
    """Values of the prompt's tokens in a layer below the last, or in several layers.

    The delta has the places of one layer behind those of the other. From the first of the layers
    on all is computed in float32; keys and values of those above it come to depend on the delta.
    """

    layers: tuple[int, ...] = ()  # rising

    def target(self, mask: np.ndarray, answer: int) -> Target:
        """Returns those slots of each layer."""
        one = super().target(mask, answer)
        return one.replace(mask=np.tile(one.mask, (1, 1, len(self.layers))))

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the step up to the context, without a delta, of the first of the layers."""
        layers, caches = [*decoder.body, decoder.last], [*cache.body, cache.last]
        first, x = self.layers[0], fed.x
        rotation, exact = (decoder.rotation(fed.positions, d) for d in (x.dtype, jnp.float32))
        for n in range(first):
            x, caches[n] = body_layer(
                layers[n], x, rotation, caches[n], fed.slot, fed.mask, fed.mesh
            )
        query, key, value = layers[first].inputs(x, rotation)
        weights, plain = _attention(query, key, value, caches[first], fed.mask)
        caches[first] = write_slot(caches[first], key, value, fed.slot, after=plain)
        length = target.mask.shape[2] // len(self.layers)

        def added(n, weights, shift):
            """What the delta adds to the context of layer n."""
            if n not in self.layers:
                return 0.0
            begin = self.layers.index(n) * length
            seen = slots_of(weights, target.start, length, axis=3)
            return value_context(seen, shift[:, :, begin : begin + length])

        def tail(shift):
            context, pairs = plain + added(first, weights, shift), []
            y = layers[first].finish(x.astype(jnp.float32), context)
            for n in range(first + 1, len(layers)):
                query, key, value = layers[n].inputs(y, exact)
                seen, context = _attention(query, key, value, caches[n], fed.mask)
                y = layers[n].finish(y, context + added(n, seen, shift))
                pairs.append((key, value))
            return decoder.logits(y)[:, 0], pairs

        def values():
            chosen = [each_head_once(caches[n], decoder) for n in self.layers]
            slots = [slots_of(array, target.start, length, axis=2) for array in chosen]
            return jnp.concatenate(slots, axis=2)

        def written(pairs):
            above = [
                write_slots(layer, key, value, fed.slot)
                for layer, (key, value) in zip(caches[first + 1 :], pairs, strict=True)
            ]
            whole = [*caches[: first + 1], *above]
            return KVCache(body=tuple(whole[:-1]), last=whole[-1])

        return Step(tail, values, target.mask, written)


@dataclasses.dataclass(frozen=True)
class AnswerValues(_Values):
    """The last layer's values of the answer's tokens before the present one, `recent` of them.

    Places are a ring: a token takes that of the one `recent` tokens before it.
    """

    recent: int

    def target(self, mask: np.ndarray, answer: int) -> Target:
        """Returns the ring, empty."""
        return Target(np.ones((*mask.shape[:2], self.recent), bool), np.int32(answer))

    def left(self, slot: jax.Array, target: Target) -> jax.Array:
        """Returns the place that the token before `slot` has taken."""
        return jnp.arange(self.recent) == (slot - 1 - jnp.asarray(target.start)) % self.recent

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the step up to the last layer's context without a delta."""
        hidden, weights, plain, cache = last_attention(decoder, cache, fed)
        before, start = fed.slot - 1, jnp.asarray(target.start)
        slots = before - (before - start - jnp.arange(self.recent)) % self.recent
        there = slots >= start
        taken = jnp.maximum(slots, 0)

        def tail(shift):
            context = plain + value_context(weights[..., taken], shift)
            return decoder.last_logits(hidden, context), ()

        values = lambda: each_head_once(cache.last, decoder)[:, :, taken]  # noqa: E731
        return Step(tail, values, target.mask & there[None, None], lambda _: cache)


class _Addend:
    """What placements at a vector of the token itself have in common: the delta is added to it."""

    additive = True

    def target(self, mask: np.ndarray, answer: int) -> Target:
        """Returns one place of every row."""
        return Target(np.ones((len(mask), 1, 1), bool))

    def left(self, slot: jax.Array, target: Target) -> jax.Array | None:
        """Returns None: the delta goes on from token to token."""
        return None


@dataclasses.dataclass(frozen=True)
class Hidden(_Addend):
    """The last hidden state, between final norm and head (Hu et al. 2025, "SLOT")."""

    def sizes(self, target: Target, text: TextConfig) -> Sizes:
        """Returns the sizes of one hidden state."""
        return 1, 1, text.width, 1

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the step up to the head."""
        hidden, _, plain, cache = last_attention(decoder, cache, fed)
        x = decoder.norm(decoder.last.finish(hidden.astype(jnp.float32), plain))
        tail = lambda shift: (decoder.read_out(x + shift[:, 0])[:, 0], ())  # noqa: E731
        return Step(tail, lambda: x[:, None], target.mask, lambda _: cache)


@dataclasses.dataclass(frozen=True)
class Logits(_Addend):
    """The logits (Agarwal et al. 2025, "EM-INF"), here with a delta that stays for the answer."""

    def sizes(self, target: Target, text: TextConfig) -> Sizes:
        """Returns the sizes of the logits of one token."""
        return 1, 1, text.vocabulary, 1

    def step(self, decoder: Decoder, cache: KVCache, fed: Fed, target: Target) -> Step:
        """Returns the whole step."""
        hidden, _, plain, cache = last_attention(decoder, cache, fed)
        logits = decoder.last_logits(hidden, plain)
        tail = lambda shift: (logits + shift[:, 0, 0], ())  # noqa: E731
        return Step(tail, lambda: logits[:, None, None], target.mask, lambda _: cache)


def last_attention(
    decoder: Decoder, cache: KVCache, fed: Fed
) -> tuple[jax.Array, jax.Array, jax.Array, KVCache]:
    """Returns the last layer's input, its weights and context without delta, and the cache.

    See `Decoder.body_step` and `Decoder.last_step`.
    """
    rotation = decoder.rotation(fed.positions, fed.x.dtype)
    hidden, cache = decoder.body_step(fed.x, rotation, cache, fed.slot, fed.mask, fed.mesh)
    with jax.named_scope("last_layer"):
        weights, plain, cache = decoder.last_step(hidden, rotation, cache, fed.slot, fed.mask)
    return hidden, weights, plain, cache


def value_context(weights: jax.Array, shift: jax.Array) -> jax.Array:
    """Returns what a shift [B, K, M, H] adds to a layer's context: [B, K, G, 1, H].

    `weights` [B, K, G, M] are the attention's at the places of the shift. Of heads that lie in the
    cache several times the shift is given once, or as often.
    """
    shift = jnp.repeat(shift, weights.shape[1] // shift.shape[1], axis=1)
    # Small numbers that matrix units would round to bfloat16 unless told otherwise.
    return jnp.einsum("bkgm,bkmh->bkgh", weights, shift, precision="highest")[..., None, :]


def each_head_once(layer: LayerCache, decoder: Decoder) -> jax.Array:
    """Returns a layer's values [B, K, S, H]; a head may lie in the cache several times."""
    return layer.values[:, :: decoder.config.kv_repeats]


def slots_of(array: jax.Array, start: jax.Array | None, length: int, *, axis: int) -> jax.Array:
    """Returns `length` slots of an axis over the cache's, from `start` on; None: from the first."""
    if start is None:
        return lax.slice_in_dim(array, 0, length, axis=axis)
    return lax.dynamic_slice_in_dim(array, start, length, axis=axis)


def _attention(
    query: jax.Array, key: jax.Array, value: jax.Array, cache: LayerCache, mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One token's weights over a cache and its context, in the query's dtype."""
    weights, own = step_weights(query, cache.keys.astype(query.dtype), key, mask)
    return weights, step_context(weights, own, cache.values, value)
