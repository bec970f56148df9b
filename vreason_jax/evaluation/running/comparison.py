"""How far a method's logits are from the first method's, both reading the first one's reply."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vreason_jax.config import RunConfig
from vreason_jax.decoding import loop
from vreason_jax.decoding.driver import after_first_token, with_room
from vreason_jax.decoding.ladder import DECODE_CHUNK
from vreason_jax.decoding.state import DecodeContext, DecodeSettings, DecodeState, to_host
from vreason_jax.engine.answer import Answer
from vreason_jax.engine.engine import Engine, ReadBatch
from vreason_jax.engine.start import Started
from vreason_jax.evaluation.running.setup import Task
from vreason_jax.model.decoder import Decoder


class Distance(NamedTuple):
    """Means over the tokens of a reply; the first token, which no method has touched, counts 0."""

    delta_logit: float  # of |z - z_first|, over the ids too
    kl: float  # KL(first || method) of the distributions drawn from, at temperature 1, nats


class Reference:
    """The first method's replies to one batch, and how far other methods are from it on them."""

    def __init__(self, engine: Engine, batch: ReadBatch, tasks: Sequence[Task]):
        """`tasks` are all of the run, the first method's at the front."""
        self._engine, self._batch = engine, batch
        first = tasks[0].method
        self._tasks = {task.seed: task for task in tasks if task.method == first}
        self._answers: dict[int, list[Answer]] = {}

    def keep(self, task: Task, answers: list[Answer]) -> None:
        """Notes replies that were just given, so that they need not be given again."""
        if task in self._tasks.values():
            self._answers[task.seed] = answers

    def distances(self, task: Task) -> list[Distance] | None:
        """Returns a method's distance on each question; None of the first, or without its seed."""
        first = self._tasks.get(task.seed)
        if first is None or first == task:
            return None
        if task.seed not in self._answers:
            # Given in an earlier session: decoded anew, as not all processes see the traces.
            self._answers[task.seed] = self._engine.answer(self._batch, first.run)
        answers = self._answers[task.seed]
        return read_in_turn(self._engine, self._batch, answers, first.run, task.run)


def read_in_turn(
    engine: Engine,
    batch: ReadBatch,
    answers: Sequence[Answer],
    first: RunConfig,
    other: RunConfig,
) -> list[Distance]:
    """Returns the distance of `other` from `first` on each of the replies that `first` gave."""
    # A method with a smaller token budget of its own needs room for the first one's answer.
    budget = first.sampling.max_new_tokens
    other = dataclasses.replace(
        other, sampling=dataclasses.replace(other.sampling, max_new_tokens=budget)
    )
    one, two = engine.start(batch, first), engine.start(batch, other)
    tokens = _token_table([answer.tokens.token for answer in answers], rows=len(batch.questions))
    with engine.at_work(batch.cache.capacity, "compare"):
        apart = forced_distances(engine.model.decoder, one, two, tokens, budget)
    return [
        Distance(*(max(0.0, float(values[: n - 1, row].sum() / n)) for values in apart))
        for row, n in enumerate(len(answer.tokens.token) for answer in answers)
    ]


def forced_distances(
    decoder: Decoder, one: Started, two: Started, tokens: np.ndarray, budget: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean |z_two - z_one| and KL(one || two) of tokens 1, 2, ... of answers, [T - 1, B].

    `tokens` [T, B] are fed to both, whatever they would have drawn; answers may have `budget` of
    them. Uses both up.
    """
    begun = [after_first_token(decoder, started) for started in (one, two)]
    states, contexts = tuple(b.state for b in begun), tuple(b.context for b in begun)
    settings = one.settings, two.settings
    chunks = []
    for first in range(0, len(tokens) - 1, DECODE_CHUNK):
        fed = np.zeros((DECODE_CHUNK, tokens.shape[1]), np.int32)
        part = tokens[first : min(first + DECODE_CHUNK, len(tokens) - 1)]
        fed[: len(part)] = part
        states = tuple(
            with_room(state, started.slot, first + DECODE_CHUNK, budget, started)
            for state, started in zip(states, begun, strict=True)
        )
        states, apart = _read_chunk(decoder, contexts, states, fed, settings=settings)
        chunks.append([values[: len(part)] for values in to_host(apart)])
    none = np.zeros((0, tokens.shape[1]), np.float32)
    delta, divergence = zip(*chunks, strict=True) if chunks else ([none], [none])
    return np.concatenate(delta), np.concatenate(divergence)


@functools.partial(jax.jit, static_argnames="settings", donate_argnames="states")
def _read_chunk(
    decoder: Decoder,
    contexts: tuple[DecodeContext, ...],
    states: tuple[DecodeState, ...],
    tokens: jax.Array,
    *,
    settings: tuple[DecodeSettings, DecodeSettings],
):
    """Feeds tokens [T, B] to both side by side: no more than one token's logits are held."""

    def step(states, token):
        states, logits = zip(
            *(
                _forced(decoder, *each, token)
                for each in zip(contexts, states, settings, strict=True)
            ),
            strict=True,
        )
        return states, _apart(*logits)

    return jax.lax.scan(step, states, tokens)


def _forced(decoder, context, state, settings, token):
    """As `loop.decode_token`, but that the token to feed is given, and none is drawn."""
    state, logits, _ = loop.next_logits(decoder, context, state.replace(token=token), settings)
    return state.replace(step=state.step + 1), logits


def _apart(first: jax.Array, other: jax.Array) -> tuple[jax.Array, jax.Array]:
    theirs, ours = jax.nn.log_softmax(first), jax.nn.log_softmax(other)
    likely, apart = jnp.exp(theirs), ours - theirs
    # Each term with q - p, whose sum is 0: near 0 none is then left to the others to cancel.
    near = likely * (jnp.expm1(jnp.minimum(apart, 1.0)) - apart)
    far = jnp.exp(ours) - likely * (1.0 + apart)
    divergence = jnp.sum(jnp.where(apart < 1.0, near, far), axis=-1)
    return jnp.mean(jnp.abs(other - first), axis=-1), divergence


def _token_table(answers: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Returns answers as columns [T, rows]; what lies beyond an answer's end is read by nobody."""
    table = np.zeros((max(map(len, answers)), rows), np.int32)
    for row, ids in enumerate(answers):
        table[: len(ids), row] = ids
    return table
