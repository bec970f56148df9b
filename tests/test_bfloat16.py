"""The embedded checkpoint in bfloat16: what the value delta does is no rounding noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vreason_jax import embedded
from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig
from vreason_jax.decoding import loop
from vreason_jax.decoding.placement import Fed
from vreason_jax.decoding.placements import last_attention, value_context
from vreason_jax.engine.engine import Engine
from vreason_jax.questions import as_question
from vreason_jax.settings import apply_overrides

TOKENS = 48


def run_of(dtype="bfloat16", **changes):
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    budget = {"model.dtype": dtype, "sampling.max_new_tokens": TOKENS}
    return apply_overrides(RunConfig(), {**budget, **keys})


@functools.cache
def engine(dtype="bfloat16"):
    return Engine.load(Checkpoint.open(None), run_of(dtype).model, "data=1")


def started(run, dtype="bfloat16"):
    question = as_question(str(embedded.CLIP), embedded.embedded_question())
    prepared = engine(dtype).checkpoint.prepare(question, run)
    return engine(dtype).start(engine(dtype).read([prepared], TOKENS), run, keep=False)


def probed(decoder, context, state):
    """What the tail of the next token begins with, its logits with and without the shift.

    In programs of their own: inside one, XLA may keep the bfloat16 inputs in more digits.
    """
    inputs = tail_inputs(decoder, context, state)
    shift = state.controller.shift
    return (*inputs, shift), *tails(decoder, inputs, shift)


@jax.jit
def tails(decoder, inputs, shift):
    hidden, weights, plain = inputs
    seen = weights[..., : shift.shape[2]]
    tail = lambda shift: decoder.last_logits(hidden, plain + value_context(seen, shift))  # noqa: E731
    return tail(shift), tail(jnp.zeros_like(shift))


@jax.jit
def tail_inputs(decoder, context, state):
    x = decoder.embed(state.token[:, None])
    position = jnp.where(
        state.step == 0, context.last_position, context.next_position + state.step - 1
    )
    positions = jnp.broadcast_to(position[None, :, None], (3, 1, 1))
    slots = jnp.arange(state.cache.capacity)
    mask = context.layout.visible(slots) & (slots < state.slot)[None]
    return last_attention(decoder, state.cache, Fed(x, positions, state.slot, mask))[:3]


class Tail64:
    """The tail in float64, by hand: context, o, norm, gated MLP, norm, head."""

    def __init__(self, decoder, config):
        flat = nnx.to_flat_state(nnx.state(decoder))
        self.weights = {
            ".".join(map(str, path)): np.asarray(leaf[...], np.float64) for path, leaf in flat
        }
        self.eps = config.norm_eps

    def __call__(self, hidden, weights, plain, shift):
        hidden, weights, plain, shift = (
            np.asarray(a, np.float64) for a in (hidden, weights, plain, shift)
        )
        at_video = weights[0, ..., : shift.shape[2]]
        context = plain[0, :, :, 0] + np.einsum("kgm,kmh->kgh", at_video, shift[0])
        x = hidden[0, 0] + self.weights["last.attention.o.weight"] @ context.reshape(-1)
        y = self.norm(x, "last.post_norm")
        gate, up = self.weights["last.mlp.gate_up.weight"] @ y
        x = x + self.weights["last.mlp.down.weight"] @ (gate / (1 + np.exp(-gate)) * up)
        head = self.weights.get("head", self.weights["embedding"])
        return head @ self.norm(x, "norm")

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean() + self.eps) * self.weights[f"{name}.weight"]


@pytest.mark.parametrize("rate", [3e-4, 1e-2])
def test_the_deltas_effect_is_that_of_exact_arithmetic_at_every_token(rate):
    run = run_of(controller__learning_rate=rate)
    decoder, begun = engine().model.decoder, started(run)
    exact, state = Tail64(decoder, engine().checkpoint.config.text), begun.state
    step = jax.jit(loop.decode_token, static_argnums=3)
    clear = 0
    for token in range(24):
        inputs, seen, unseen = probed(decoder, begun.context, state)
        change = np.asarray(seen - unseen, np.float64)[0]
        assert inputs[0].dtype == jnp.bfloat16 and seen.dtype == jnp.float32
        assert change.any() == (token > run.controller.every)
        if change.any():
            whole = exact(*inputs)
            expected = whole - exact(*inputs[:3], np.zeros_like(inputs[3]))
            size, error = np.linalg.norm(expected), np.linalg.norm(change - expected)
            # Where the token hardly looks at the video, the effect comes near float32's own
            # rounding of the residual stream (numbers near 70) and of the logits.
            assert error <= 1e-3 * size + 3e-6 * np.linalg.norm(whole)
            if size > 1e-3 * np.linalg.norm(whole):
                clear += 1
                assert change @ expected >= 0.999 * size * np.linalg.norm(change)
        state, _ = step(decoder, begun.context, state, begun.settings)
    assert clear or rate < 1e-2


def greedy(dtype):
    run = run_of(dtype, controller__objective="none")
    begun = started(run, dtype)
    state, step = begun.state, jax.jit(loop.next_logits, static_argnums=3)
    decoder, found = engine(dtype).model.decoder, []
    for _ in range(32):
        state, logits, _ = step(decoder, begun.context, state, begun.settings)
        state = state.replace(token=jnp.argmax(logits, -1).astype(jnp.int32), step=state.step + 1)
        found.append(np.asarray(logits[0]))
    return np.array(found)


def test_greedy_tokens_are_float32s_unless_two_logits_lie_within_the_error():
    wide, narrow = greedy("float32"), greedy("bfloat16")
    parted = np.flatnonzero(wide.argmax(-1) != narrow.argmax(-1))
    end = parted[0] + 1 if parted.size else 32
    error = np.abs(wide - narrow)[:end].max()
    assert 0 < error < 0.05 * np.abs(wide).max()
    if parted.size:
        first, second = np.sort(wide[parted[0]])[-1:-3:-1]
        assert first - second <= 2 * error
