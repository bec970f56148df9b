"""Reads once what answers share: a clip for all its questions, a question for all its runs."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from vreason_jax.config import RunConfig
from vreason_jax.decoding.driver import decode_in_chunks, first_room
from vreason_jax.decoding.prefill import begin
from vreason_jax.decoding.reading import ReadPrompt, read_prompt, read_rest
from vreason_jax.decoding.state import DecodeContext, DecodeSettings, DecodeState, TokenTrace
from vreason_jax.engine import Replica
from vreason_jax.evaluation.clips import ClipReader
from vreason_jax.evaluation.reply import Reply, build_reply
from vreason_jax.inputs import Prepared, batch_inputs
from vreason_jax.model.qwen25_vl import Qwen25VL
from vreason_jax.prompt.batch import batch_prompts
from vreason_jax.runtime.compilation import CompileClock
from vreason_jax.runtime.mesh import cache_spec, place_rows

# The rests of a batch are padded to a multiple of this, so that few lengths are compiled.
REST_MULTIPLE = 32


@dataclasses.dataclass(frozen=True)
class Asked:
    """A question ready for the model."""

    prepared: Prepared
    clip_key: str  # equal for questions about the same frames: they share one reading of them
    seed_key: str  # the question's id, which chance is drawn by


@dataclasses.dataclass(frozen=True)
class ReadBatch:
    """Questions that have been read, from which any number of runs can begin."""

    rows: tuple[Asked, ...]  # the questions, and their last again to fill the batch
    count: int  # how many are questions
    length: int  # tokens that every prompt is padded to
    read: ReadPrompt


class Started(NamedTuple):
    """A batch about to be decoded under one run config."""

    context: DecodeContext
    state: DecodeState
    first: TokenTrace  # of the token that was drawn from the prompt
    settings: DecodeSettings
    slots: int  # of the cache, when it has grown to its whole length


class SharedReader:
    """Answers batches of questions under several run configs and seeds on one replica.

    The run configs may differ in controller.*, prune.* and sampling.* alone. `counts` says how
    many clips went through the vision tower and were read, how many questions were read, and how
    many answers were given. `clock` has the seconds of `vision`, `prefill` (clips and questions)
    and `decode` (all that is done for one run), and those of compilation by themselves.
    """

    def __init__(
        self,
        engine: Replica,
        *,
        batch_size: int,
        clips: int = 4,
        clock: CompileClock | None = None,
        last_values: bool = True,
    ):
        """Takes `batch_size` rows for each device of `data`, and keeps the last `clips` clips.

        Without `last_values`, decoding finds the last layer's values of the video to be 0.
        """
        self.rows_per_batch = batch_size * engine.mesh.shape["data"]
        self.clock = CompileClock() if clock is None else clock
        stages = "vision", "clip_prefill", "question_prefill", "answers"
        self.counts: dict[str, int] = dict.fromkeys(stages, 0)
        self._replica, self._last_values = engine, last_values
        self._clips = ClipReader(engine, self.clock, self.counts, kept=clips, most=batch_size)
        whole = NamedSharding(engine.mesh, cache_spec(engine.mesh, self.rows_per_batch))
        self._stack = jax.jit(_stack, out_shardings=whole)

    def read(self, questions: Sequence[Asked]) -> ReadBatch:
        """Returns the questions read, 1 to `rows_per_batch` of them.

        All of them must have media of one size: raises ValueError where the last medium does not
        end at the same token in every prompt.
        """
        if not 0 < len(questions) <= self.rows_per_batch:
            raise ValueError(f"expected 1 to {self.rows_per_batch} questions, got {len(questions)}")
        rows = (*questions, *[questions[-1]] * (self.rows_per_batch - len(questions)))
        prompts = [asked.prepared.prompt for asked in rows]
        shared = {prompt.shared_length for prompt in prompts}
        if len(shared) > 1:
            raise ValueError(f"expected media that end at one token in a batch, got {shared}")
        (first,) = shared
        rest = max(len(prompt.token_ids) for prompt in prompts) - first
        length = first + -(-rest // REST_MULTIPLE) * REST_MULTIPLE
        with self.clock, self._replica.computing(self._advice(length)):
            read = self._read(rows, first, length)
        self.counts["question_prefill"] += len(questions)
        return ReadBatch(rows, len(questions), length, read)

    @property
    def model(self) -> Qwen25VL:
        """The model of the replica."""
        return self._replica.model

    @contextlib.contextmanager
    def at_work(self, length: int, stage: str) -> Iterator[None]:
        """Times a stage of prompts of a length, and advises the user where memory runs out."""
        computing = self._replica.computing(self._advice(length))
        with self.clock, computing, self.clock.stage(stage):
            yield

    def begin(
        self, batch: ReadBatch, run: RunConfig, seed: int, tokens: int | None = None
    ) -> Started:
        """Returns the batch at its first token under `run`; the batch stays as it is.

        It may grow to `tokens` tokens, or (None) to those of the run.
        """
        checkpoint = self._replica.checkpoint
        changes = {"seed": seed, "max_new_tokens": tokens or run.sampling.max_new_tokens}
        run = dataclasses.replace(run, sampling=dataclasses.replace(run.sampling, **changes))
        inputs, dropped, lengths = batch_inputs(
            [asked.prepared for asked in batch.rows],
            run,
            checkpoint.tokenizer.ids.pad,
            length=batch.length,
            names=[asked.seed_key for asked in batch.rows],
        )
        room = first_room(lengths.prompt, changes["max_new_tokens"])
        slots, lengths = lengths.capacity, lengths.replace(capacity=lengths.prompt + room)
        has_video = bool(inputs.video_mask.any())
        settings = DecodeSettings.of(run, checkpoint.tokenizer.ids.eos, has_video=has_video)
        with self.at_work(batch.length, "decode"):
            started = begin(
                batch.read,
                *self._place((inputs, dropped)),
                settings=settings,
                pruning=run.prune,
                lengths=lengths,
                last_values=self._last_values,
            )
            context, state, first = jax.block_until_ready(started)
        return Started(context, state, first, settings, slots)

    def answer(self, batch: ReadBatch, run: RunConfig, seed: int) -> list[Reply]:
        """Returns the reply to each question of the batch, in order, under `run` and `seed`.

        A reply depends on its question, the run and the seed, not on the rest of the batch.
        """
        started = self.begin(batch, run, seed)
        with self.at_work(batch.length, "decode"):
            trace = self.decode(started, run.sampling.max_new_tokens)
        self.counts["answers"] += batch.count
        tokenizer = self._replica.checkpoint.tokenizer
        rows = (TokenTrace(*(a[:, row] for a in trace)) for row in range(batch.count))
        return [build_reply(row, tokenizer) for row in rows]

    def decode(self, started: Started, tokens: int) -> TokenTrace:
        """Returns the NumPy trace [T, B] of all rows, to their ends or to `tokens` tokens."""
        chunks = decode_in_chunks(
            self.model,
            started.context,
            started.state,
            started.first,
            settings=started.settings,
            tokens=tokens,
        )
        return TokenTrace(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))

    def _read(self, rows: Sequence[Asked], shared: int, length: int) -> ReadPrompt:
        model, pad = self.model, self._replica.checkpoint.tokenizer.ids.pad
        batch = batch_prompts([asked.prepared.prompt for asked in rows], pad, length=length)
        clips = self._clips.read({asked.clip_key: asked.prepared for asked in rows})
        token_ids, positions, starts = self._place(
            (batch.token_ids[:, shared:], batch.positions[:, :, shared:], batch.starts)
        )
        with self.clock.stage("prefill"):
            if shared:
                ordered = [clips[asked.clip_key] for asked in rows]
                prefix = tuple(self._stack(*layers) for layers in zip(*ordered, strict=True))
                read = read_rest(model, prefix, token_ids, positions, starts)
            else:
                no_slots = np.zeros((0,), np.int32)
                read = read_prompt(model, token_ids, positions, starts, [], no_slots)
            return jax.block_until_ready(read)

    def _place(self, tree):
        return place_rows(tree, self._replica.mesh, self.rows_per_batch)

    def _advice(self, length: int) -> str:
        return (
            f"{self.rows_per_batch} prompts of {length} tokens and their answers do not fit; "
            "lower --batch-size, video.max_pixels, video.num_frames or sampling.max_new_tokens"
        )


def _stack(*rows):
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *rows)
