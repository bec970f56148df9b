"""Compiles what questions within given limits need, before the first of them is asked."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import jax
import numpy as np

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig
from vreason_jax.decoding import ladder
from vreason_jax.decoding.driver import with_room
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.engine import media
from vreason_jax.engine.engine import Engine
from vreason_jax.engine.rows import PromptRows
from vreason_jax.engine.start import Started, start
from vreason_jax.model.windows import frame_plan
from vreason_jax.prompt.chat import TEXT_TOKEN, VIDEO_TOKEN, Prompt
from vreason_jax.prompt.positions import MERGE, Medium
from vreason_jax.video.patches import PATCH, Patches
from vreason_jax.video.resize import PixelLimits, smart_resize

Progress = Callable[[int, int], None]
_OTHER_TOKENS = 64  # of a prompt: the template's, and those of media's marks
_TOKENS_A_WORD = 2


@dataclasses.dataclass(frozen=True)
class Limits:
    """What questions will be like: at most so many frames and words, frames of so many pixels."""

    frames: int
    pixels: PixelLimits
    words: int

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, run: RunConfig, frames: int | None = None, words: int = 64
    ) -> "Limits":
        """Returns the limits of a run config; `frames` None are those that it allows."""
        most = frames or run.video.num_frames or run.video.max_frames
        return cls(most, checkpoint.preprocessing.video_limits(run.video), words)

    def frame_sizes(self) -> set[tuple[int, int]]:
        """Returns the sizes in patches that frames up to four times as wide as high come to."""
        low, high = self.pixels.min_pixels, self.pixels.max_pixels
        sizes = set()
        for area in np.geomspace(low, high, 9):
            for ratio in np.geomspace(0.25, 4, 129):
                long, short = (max(1, round(math.sqrt(area * r))) for r in (ratio, 1 / ratio))
                height, width = smart_resize(long, short, self.pixels)
                sizes.add((height // PATCH, width // PATCH))
        return sizes

    def video_tokens(self) -> tuple[int, int]:
        """Returns the fewest and the most tokens of a clip."""
        tokens = [height * width // MERGE**2 for height, width in self.frame_sizes()]
        return min(tokens), max(tokens) * math.ceil(self.frames / 2)


def warm_up(
    engine: Engine, run: RunConfig, limits: Limits, progress: Progress = lambda done, of: None
) -> int:
    """Compiles the programs for one question at a time under `run`, in threads; returns how many.

    Each is called once on zeros, so that it lies ready in this process and in the cache on disk.
    `progress` is told how many of all have been compiled.
    """
    before = engine.clock.programs
    tasks = [*_vision_tasks(engine, limits), *_text_tasks(engine, run, limits)]
    with engine.clock, ThreadPoolExecutor(os.cpu_count()) as threads:
        running = [threads.submit(_in_precision, engine, task) for task in tasks]
        for number, task in enumerate(as_completed(running), start=1):
            task.result()
            progress(number, len(tasks))
    return engine.clock.programs - before


def _in_precision(engine: Engine, task: Callable[[], object]) -> None:
    # JAX's settings hold for a thread.
    with engine.precision():
        jax.block_until_ready(task())


def _vision_tasks(engine: Engine, limits: Limits) -> Iterator[Callable[[], object]]:
    config = engine.model.vision.config
    grids: dict[int, tuple[int, int]] = {}
    for height, width in sorted(limits.frame_sizes()):
        rows = len(frame_plan(height, width, config).window)
        grids.setdefault(rows, (height, width))
    for rows, grid in grids.items():
        for places in set(media.places(rows, config)):
            count = min(places, math.ceil(limits.frames / 2))
            values = np.zeros((count * math.prod(grid), config.patch_values), np.uint8)
            clip = Patches(values, (count, *grid))
            yield functools.partial(
                lambda clip: media.encode_media(engine.model.vision, [clip], engine.mesh).blocks,
                clip,
            )


def _text_tasks(engine: Engine, run: RunConfig, limits: Limits) -> Iterator[Callable[[], object]]:
    tokens = run.sampling.max_new_tokens
    least, most = limits.video_tokens()
    longest = most + _OTHER_TOKENS + _TOKENS_A_WORD * limits.words + ladder.piece_lengths()[-1]
    capacities = {
        ladder.capacity(prompt + ladder.first_room(prompt, tokens))
        for prompt in range(least, longest + 1)
    }
    for capacity in sorted(capacities):
        for length in ladder.piece_lengths():
            if length < capacity:
                yield functools.partial(_read, engine, capacity, length)
        yield functools.partial(_decode, engine, run, capacity)


def _read(engine: Engine, capacity: int, length: int) -> object:
    """Reads a piece of zeros."""
    rows = PromptRows.of([_prompt(length, 2)])
    index = [np.zeros(length, np.int64)]
    (piece,) = (p for p in rows.shared_pieces(index) if p.token_ids.shape[1] == length)
    blank = engine.prefixes.blank(1, capacity)
    return engine.prefixes.read_piece(blank, rows, piece, [engine.prefixes.nothing()])


def _decode(engine: Engine, run: RunConfig, capacity: int) -> object:
    """Decodes a chunk, and one of the answer's end where the cache grows for it."""
    room = ladder.DECODE_CHUNK
    rows = PromptRows.of([_prompt(capacity // 2, 2)])
    seeds, blank = np.zeros((1, 2), np.uint32), engine.prefixes.blank(1, capacity)
    started = start(engine.model.decoder, blank, rows, run, seeds, engine.mesh)
    state = _chunk(engine, started, started.state)
    tokens, begin = run.sampling.max_new_tokens, capacity - room
    if ladder.first_room(begin, tokens) < ladder.decode_room(tokens):
        state = with_room(state, begin, 2 * room, tokens, started)
        state = _chunk(engine, started, state)
    return state


def _chunk(engine: Engine, started: Started, state):
    state, _ = decode_chunk(
        engine.model.decoder,
        started.context,
        state,
        settings=started.settings,
        steps=ladder.DECODE_CHUNK,
    )
    return state


def _prompt(video: int, text: int) -> Prompt:
    """A prompt of so many video tokens, then text."""
    count = video + text
    types = np.where(np.arange(count) < video, VIDEO_TOKEN, TEXT_TOKEN)
    zeros = np.zeros(count, np.int32)
    medium = Medium("video", (1, MERGE, MERGE * video))
    return Prompt(zeros, np.zeros((3, count), np.int32), 0, (medium,), types)
