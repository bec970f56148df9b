"""The one way from questions to answers: read them, start runs on them, decode."""

import contextlib
import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import ModelOptions, RunConfig
from vreason_jax.decoding import ladder
from vreason_jax.decoding.driver import Program, decode_in_chunks
from vreason_jax.decoding.reading import take_rows
from vreason_jax.decoding.state import TokenTrace, place
from vreason_jax.engine.answer import Answer, build_answer
from vreason_jax.engine.media import encode_prompts
from vreason_jax.engine.prefixes import Prefixes, copied
from vreason_jax.engine.rows import PromptRows
from vreason_jax.engine.start import Started, start
from vreason_jax.errors import UserError
from vreason_jax.families.model import Model
from vreason_jax.model.cache import KVCache
from vreason_jax.questions import Prepared
from vreason_jax.runtime import compilation, memory
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.runtime.mesh import create_mesh, idle_notice

Warn = Callable[[str], None]
_COUNTS = (
    "vision", "clip_prefill", "question_prefill", "answers",
    "prompt_tokens", "prompt_slots", "vision_patches", "vision_slots",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ReadBatch:
    """Questions that have been read, from which any number of runs can start."""

    questions: tuple[Prepared, ...]  # and the last again, to fill the batch
    count: int  # how many are questions
    rows: PromptRows
    cache: KVCache
    warnings: tuple[str, ...] = ()  # said already

    @property
    def seed_names(self) -> list[int]:
        """What stands for each question in the answers' seeds."""
        # The same in a batch, alone, and on resuming.
        names = (question.name.encode(errors="surrogateescape") for question in self.questions)
        return [zlib.crc32(name) for name in names]


class Engine:
    """A checkpoint's model on a mesh, and what it has read last.

    `clock` has the seconds of the stages `vision`, `prefill` (clips and questions) and `decode`
    (all that is done for one run), and those of compilation by themselves. `counts` says how many
    clips went through the tower, how many were read, and how many questions and answers; and how
    many of the slots that reading computed were tokens of prompts and patches of media.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        model: Model,
        mesh: Mesh,
        *,
        batch_size: int | None = None,
        hide_video: bool = False,
        warn: Warn = lambda line: None,
    ):
        """`batch_size` rows on each device of `data`; None: as few as it takes, a power of two.

        With `hide_video` decoding finds the last layer's values of the video to be 0. `warn` takes
        lines for people.
        """
        self.checkpoint, self.model, self.mesh, self.warn = checkpoint, model, mesh, warn
        self.clock = compilation.CompileClock()
        self.counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
        self.loading: dict[str, float] = {"load": 0.0, "compile": 0.0}
        self.load_warnings: list[str] = []
        self.batch_size, self.hides_video = batch_size, hide_video
        self._most_told = 0  # video tokens that memory may not hold
        # No method of its own: an engine in a circle would keep its weights past its end.
        self.encode = functools.partial(encode_prompts, model.vision, mesh, self.clock, self.counts)
        self.prefixes = Prefixes(model.decoder, mesh, self.encode, self.counts)

    @classmethod
    def load(
        cls,
        checkpoint: Checkpoint,
        options: ModelOptions,
        mesh: str | Mesh | None = None,
        warn: Warn = lambda line: None,
        **settings,
    ) -> "Engine":
        """Returns the engine with the weights on the devices of `mesh`, or of `--mesh`'s text."""
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            warn(line)

        compilation.enable_cache(say)
        if checkpoint.tokenizer.template.notice:
            say(checkpoint.tokenizer.template.notice)
        with compilation.CompileClock() as clock, clock.stage("load"):
            config = checkpoint.config_of(options)
            devices = mesh if isinstance(mesh, Mesh) else create_mesh(mesh, config)
            if idle := idle_notice(devices):
                say(idle)
            dtype = checkpoint.dtype(options)
            try:
                model = load_model(
                    checkpoint.folder, config, dtype, devices, warn=say, verify=options.verify
                )
                jax.block_until_ready(model)
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                if not memory.is_lack(error):
                    raise
                raise UserError(memory.weights_advice(config, dtype.name, devices)) from None
        engine = cls(checkpoint, model, devices, warn=warn, **settings)
        engine.load_warnings = said
        engine.loading = {"load": clock.stages["load"], "compile": clock.seconds}
        return engine

    @property
    def dtype(self) -> jnp.dtype:
        """What the weights are in."""
        return self.model.decoder.embedding[...].dtype

    def usage(self) -> dict[str, float]:
        """Returns the seconds, programs and (as counts.NAME) counts so far, all in one."""
        counts = {f"counts.{name}": count for name, count in self.counts.items()}
        return {**self.clock.snapshot(), **counts}

    @property
    def rows_per_batch(self) -> int:
        """How many questions a batch of fixed size holds."""
        assert self.batch_size is not None
        return self.batch_size * self.mesh.shape["data"]

    def rows(self, count: int) -> int:
        """Returns the rows of a batch of `count` questions."""
        if self.batch_size is None:
            devices = self.mesh.shape["data"] if count > 1 else 1
            return devices * ladder.power_of_two(-(-count // devices))
        if count > self.rows_per_batch:
            raise ValueError(f"expected 1 to {self.rows_per_batch} questions, got {count}")
        return self.rows_per_batch

    def read(self, questions: Sequence[Prepared], tokens: int) -> ReadBatch:
        """Returns the questions read, with room to begin answers of at most `tokens` tokens."""
        filled = self.filled(questions)
        rows = PromptRows.of([question.prompt for question in filled])
        capacity = self.capacity(filled, rows, tokens)
        self.prefixes.make_room(filled, capacity)
        warnings = self._memory_warnings(filled, capacity, tokens)
        with self.at_work(capacity, "prefill"):
            cache = jax.block_until_ready(self.prefixes.read(filled, rows, capacity))
        self.counts["question_prefill"] += len(questions)
        self.counts["prompt_tokens"] += int(rows.rests[: len(questions)].sum())
        return ReadBatch(filled, len(questions), rows, cache, warnings)

    def capacity(self, filled: Sequence[Prepared], rows: PromptRows, tokens: int) -> int:
        """Returns the cache slots that questions are read into, for answers as those of `read`."""
        first = ladder.first_capacity(rows.answer_start, tokens, len(filled))
        needed = max(first, ladder.capacity(rows.slots, len(filled)))
        return self.prefixes.capacity([row.prefix_name for row in filled], needed)

    def repeated(self, batch: ReadBatch, samples: int) -> ReadBatch:
        """Returns a batch of one question as one of `samples` rows, which may start otherwise."""
        if samples == 1:
            return batch
        with self.at_work(batch.cache.capacity, "prefill"):
            cache = self.repeated_cache(batch.cache, samples)
        questions = batch.questions[:1] * self.rows(samples)
        rows = PromptRows.of([question.prompt for question in questions])
        return ReadBatch(questions, samples, rows, cache, batch.warnings)

    def repeated_cache(self, cache: KVCache, samples: int) -> KVCache:
        """Returns the first row of a cache as the rows of so many samples."""
        count = self.rows(samples)
        index = place(np.zeros(count, np.int32), self.mesh, count)
        return take_rows((cache,), index, mesh=self.mesh)

    def start(
        self, batch: ReadBatch, run: RunConfig, *, samples: bool = False, keep: bool = True
    ) -> Started:
        """Returns the batch at the beginning of its answers under `run`.

        Chance is drawn by the run's seed; with `samples` every row has another, counted on from it.
        The batch can start again, unless `keep` is false, which spares a copy of its cache.
        """
        names, seed = batch.seed_names, run.sampling.seed
        own = [(seed + row * samples) % 2**32 for row in range(len(names))]
        seeds = np.array(list(zip(own, names, strict=True)), np.uint32)
        cache = copied(batch.cache) if keep else batch.cache
        with self.at_work(batch.cache.capacity, "decode"):
            return self.begin(cache, batch.rows, run, seeds)

    def begin(self, cache: KVCache, rows: PromptRows, run: RunConfig, seeds: np.ndarray) -> Started:
        """Returns the answers of `rows` at their beginning (engine/start.py); uses `cache` up."""
        decoder, hidden = self.model.decoder, self.hides_video
        return start(decoder, cache, rows, run, seeds, self.mesh, hide_video=hidden)

    def decode(
        self,
        started: Started,
        run: RunConfig,
        *,
        ignore_eos: bool = False,
        program: Program | None = None,
    ) -> Iterator[TokenTrace]:
        """Yields NumPy traces [some tokens, B] to the end of all answers; uses `started` up.

        `program` is that of `DecodingAhead`, if there is one.
        """
        chunks = decode_in_chunks(
            self.model.decoder,
            started,
            tokens=run.sampling.max_new_tokens,
            eos_ids=() if ignore_eos else self.checkpoint.tokenizer.ids.eos,
            program=program,
        )
        while True:
            with self.at_work(started.slot, "decode"):
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def answers(
        self, batch: ReadBatch, traces: Sequence[TokenTrace], *, ignore_eos: bool = False
    ) -> list[Answer]:
        """Returns the answers to the questions of a batch, of all that `decode` yielded for it."""
        tokenizer = self.checkpoint.tokenizer
        eos = () if ignore_eos else tokenizer.ids.eos
        whole = TokenTrace(*(np.concatenate(parts) for parts in zip(*traces, strict=True)))
        rows = (TokenTrace(*(a[:, row] for a in whole)) for row in range(batch.count))
        self.counts["answers"] += batch.count
        return [build_answer(row, tokenizer, eos) for row in rows]

    def answer(self, batch: ReadBatch, run: RunConfig) -> list[Answer]:
        """Returns the answers of a batch under `run`: started, decoded, and written out.

        An answer depends on its question and the run, not on the rest of the batch.
        """
        return self.answers(batch, list(self.decode(self.start(batch, run), run)))

    def precision(self) -> contextlib.AbstractContextManager:
        """Returns a context in which float32 means float32.

        Without it, GPUs and TPUs multiply in fewer bits.
        """
        exact = self.dtype == jnp.float32
        return jax.default_matmul_precision("highest" if exact else "default")

    @contextlib.contextmanager
    def at_work(self, slots: int, stage: str) -> Iterator[None]:
        """Times a stage of `computing`."""
        with self.computing(slots), self.clock.stage(stage):
            yield

    @contextlib.contextmanager
    def computing(self, slots: int) -> Iterator[None]:
        """Counts programs, and computes in the dtype's own precision, for this thread.

        A lack of memory becomes a UserError that says what does not fit and what to lower.
        """
        with self.clock, self.precision():
            try:
                yield
            except jax.errors.JaxRuntimeError as error:
                if not memory.is_lack(error):
                    raise
                raise UserError(self._advice(slots)) from None

    def filled(self, questions: Sequence[Prepared]) -> tuple[Prepared, ...]:
        """Returns the questions, and the last again, as many as a batch of them holds."""
        if not questions:
            raise ValueError("expected one question or more")
        size = self.rows(len(questions))
        return (*questions, *[questions[-1]] * (size - len(questions)))

    def _memory_warnings(
        self, questions: Sequence[Prepared], capacity: int, tokens: int
    ) -> tuple[str, ...]:
        device = self.mesh.local_devices[0]
        shape = {} if device.platform == "cpu" else self.mesh.shape  # a CPU's devices share memory
        data = shape.get("data", 1)
        share = data if len(questions) % data == 0 else 1  # as decoding/state.py lays rows
        per_token = memory.bytes_per_video_token(
            self.model.config,
            self.dtype.itemsize,
            shape.get("model", 1),
            # What was read of a clip, and of a batch that waits for several runs; and a run's copy.
            caches=2 if self.batch_size is None else 3,
        )
        video = sum(q.video_tokens for q in questions) // share
        slots = -(-len(questions) // share) * (capacity + ladder.decode_room(tokens))
        free, others = memory.free_bytes(device), slots - video
        line = memory.memory_warning(video, free, per_token, max(0, others))
        if line and video > self._most_told:  # of many batches, once
            self._most_told = video
            self.warn(line)
        return (line,) if line else ()

    def _advice(self, slots: int) -> str:
        lower = "video.max_pixels, video.num_frames or sampling.max_new_tokens"
        if self.batch_size is not None:
            lower = f"--batch-size, {lower}"
        return (
            f"the device's memory is too small: prompts and answers of {slots} tokens and more do "
            f"not fit; lower {lower}"
        )
