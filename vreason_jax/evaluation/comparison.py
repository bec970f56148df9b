"""How far a method's logits are from the first method's, both reading the first one's reply."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vreason_jax.config import RunConfig
from vreason_jax.decoding import loop
from vreason_jax.decoding.driver import CHUNK, to_host, with_room
from vreason_jax.decoding.state import DecodeContext, DecodeSettings, DecodeState
from vreason_jax.evaluation.reply import Reply
from vreason_jax.evaluation.setup import Task
from vreason_jax.evaluation.sharing import ReadBatch, SharedReader, Started
from vreason_jax.model.qwen25_vl import Qwen25VL


class Distance(NamedTuple):
    """Means over the tokens of a reply; the first token, which no method has touched, counts 0."""

    delta_logit: float  # of |z - z_first|, over the ids too
    kl: float  # KL(first || method) of the distributions drawn from, at temperature 1, nats


class Reference:
    """The first method's replies to one batch, and how far other methods are from it on them."""

    def __init__(self, reader: SharedReader, batch: ReadBatch, tasks: Sequence[Task]):
        """`tasks` are all of the run, the first method's at the front."""
        self._reader, self._batch = reader, batch
        first = tasks[0].method
        self._tasks = {task.seed: task for task in tasks if task.method == first}
        self._replies: dict[int, list[Reply]] = {}

    def keep(self, task: Task, replies: list[Reply]) -> None:
        """Notes replies that were just given, so that they need not be given again."""
        if task in self._tasks.values():
            self._replies[task.seed] = replies

    def distances(self, task: Task) -> list[Distance] | None:
        """Returns a method's distance on each question; None of the first, or without its seed."""
        first = self._tasks.get(task.seed)
        if first is None or first == task:
            return None
        if task.seed not in self._replies:
            # Given in an earlier session: decoded anew, as not all processes see the traces.
            self._replies[task.seed] = self._reader.answer(self._batch, first.run, task.seed)
        replies = self._replies[task.seed]
        return read_in_turn(self._reader, self._batch, replies, first.run, task.run, task.seed)


def read_in_turn(
    reader: SharedReader,
    batch: ReadBatch,
    replies: Sequence[Reply],
    first: RunConfig,
    other: RunConfig,
    seed: int,
) -> list[Distance]:
    """Returns the distance of `other` from `first` on each of the replies that `first` gave."""
    one = reader.begin(batch, first, seed)
    # A method with a smaller token budget of its own needs room for the first one's reply.
    two = reader.begin(batch, other, seed, tokens=first.sampling.max_new_tokens)
    tokens = _token_table([reply.token_ids for reply in replies], rows=len(batch.rows))
    with reader.at_work(batch.length, "compare"):
        apart = forced_distances(reader.model, one, two, tokens)
    return [
        Distance(*(max(0.0, float(values[: n - 1, row].sum() / n)) for values in apart))
        for row, n in enumerate(len(reply.token_ids) for reply in replies)
    ]


def forced_distances(
    model: Qwen25VL, one: Started, two: Started, tokens: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean |z_two - z_one| and KL(one || two) of tokens 1, 2, ... of replies, [T - 1, B].

    `tokens` [T, B] are fed to both, whatever they would have drawn. Donates their states.
    """
    states, contexts = (one.state, two.state), (one.context, two.context)
    settings = one.settings, two.settings
    chunks = []
    prompts = [int(state.slot) for state in states]
    for first in range(0, len(tokens) - 1, CHUNK):
        fed = np.zeros((CHUNK, tokens.shape[1]), np.int32)
        part = tokens[first : min(first + CHUNK, len(tokens) - 1)]
        fed[: len(part)] = part
        states = tuple(
            with_room(state, prompt + first + CHUNK, started.slots)
            for state, prompt, started in zip(states, prompts, (one, two), strict=True)
        )
        states, apart = _read_chunk(model, contexts, states, fed, settings=settings)
        chunks.append([values[: len(part)] for values in to_host(apart)])
    none = np.zeros((0, tokens.shape[1]), np.float32)
    delta, divergence = zip(*chunks, strict=True) if chunks else ([none], [none])
    return np.concatenate(delta), np.concatenate(divergence)


@functools.partial(jax.jit, static_argnames="settings", donate_argnames="states")
def _read_chunk(
    model: Qwen25VL,
    contexts: tuple[DecodeContext, DecodeContext],
    states: tuple[DecodeState, DecodeState],
    tokens: jax.Array,
    *,
    settings: tuple[DecodeSettings, DecodeSettings],
):
    """Feeds tokens [T, B] to both side by side: no more than one token's logits are held."""

    def step(states, token):
        states, logits = zip(
            *(
                _forced(model, *each, token)
                for each in zip(contexts, states, settings, strict=True)
            ),
            strict=True,
        )
        return states, _apart(*logits)

    return jax.lax.scan(step, states, tokens)


def _forced(model, context, state, settings, token):
    """As `loop.decode_token`, but that the token to feed is given, and none is drawn."""
    state, logits, controller, _ = loop.next_logits(
        model, context, state.replace(token=token), settings
    )
    return state.replace(step=state.step + 1, controller=controller), logits


def _apart(first: jax.Array, other: jax.Array) -> tuple[jax.Array, jax.Array]:
    theirs, ours = jax.nn.log_softmax(first), jax.nn.log_softmax(other)
    divergence = jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=-1)
    return jnp.mean(jnp.abs(other - first), axis=-1), divergence


def _token_table(replies: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Returns replies as columns [T, rows]; what lies beyond a reply's end is read by nobody."""
    table = np.zeros((max(map(len, replies)), rows), np.int32)
    for row, ids in enumerate(replies):
        table[: len(ids), row] = ids
    return table
