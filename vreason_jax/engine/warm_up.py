"""Compiles what questions within given limits need, before the first of them is asked."""

import dataclasses
import functools
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

import jax
import numpy as np

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig, placement_tokens
from vreason_jax.decoding import ladder
from vreason_jax.decoding.driver import Started, with_room
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.reading import TEXT, resized
from vreason_jax.decoding.state import DecodeSettings, DecodeState
from vreason_jax.engine import media
from vreason_jax.engine.engine import Engine
from vreason_jax.engine.rows import SINKS, PromptRows
from vreason_jax.families.registry import family_of
from vreason_jax.model.config import ModelConfig
from vreason_jax.model.windows import frame_plan
from vreason_jax.prompt.chat import TEXT_TOKEN, VIDEO_TOKEN, Prompt
from vreason_jax.prompt.positions import Medium
from vreason_jax.questions import Question
from vreason_jax.runtime import memory
from vreason_jax.video.patches import Patches
from vreason_jax.video.resize import Sizing

Call = Callable[[], object]
Say = Callable[[str], None]
_WRAPPING = 64  # tokens that a benchmark puts around its questions
TOKENS_A_WORD = 2
_SAID_EVERY = 5.0  # seconds


@dataclasses.dataclass(frozen=True)
class Limits:
    """What questions will be like: frames of so many pixels, and at most so many of the others."""

    frames: int
    sizing: Sizing
    before: int  # tokens of text up to a clip's end, the times within it among them
    behind: int
    samples: int = 1  # answers to a question

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        run: RunConfig,
        *,
        question: int,
        frames: int | None = None,
        samples: int = 1,
    ) -> "Limits":
        """Returns the limits of a run config, for questions of at most `question` tokens.

        `frames` None are those that the config allows; 0 are questions without a clip.
        """
        most = (run.video.num_frames or run.video.max_frames) if frames is None else frames
        sizing = checkpoint.preprocessing.video_sizing(run.video)
        clips = [Medium("video", (1, 1, 1), times=(0.0,))] if most else []
        prompt = checkpoint.prompt(clips, Question((), "a"), run)
        marks = time_marks(checkpoint.config, most)
        behind = len(prompt.token_ids) - prompt.shared_length + question + _WRAPPING
        return cls(most, sizing, prompt.shared_length + marks, behind, samples)

    def frame_sizes(self) -> set[tuple[int, int]]:
        """Returns the sizes in patches that frames up to four times as wide as high come to."""
        if not self.frames:
            return set()
        limits = self.sizing.frame_limits(self.frames)
        patch = self.sizing.geometry.patch_pixels
        sizes = set()
        for area in np.geomspace(limits.min_pixels, limits.max_pixels, 9):
            for ratio in np.geomspace(0.25, 4, 129):
                long, short = (max(1, round(math.sqrt(area * r))) for r in (ratio, 1 / ratio))
                height, width = self.sizing.sides(long, short, self.frames)
                sizes.add((height // patch, width // patch))
        return sizes

    def video_tokens(self) -> tuple[int, int]:
        """Returns the fewest and the most tokens of a clip."""
        geometry = self.sizing.geometry
        tokens = [geometry.tokens((1, *size)) for size in self.frame_sizes()] or [0]
        return min(tokens), max(tokens) * math.ceil(self.frames / geometry.temporal_patch)


def time_marks(config: ModelConfig, frames: int) -> int:
    """Returns the tokens of the times within a clip of so many frames."""
    patches = math.ceil(frames / config.geometry.temporal_patch)
    return patches * family_of(config).prompt.marks


def warm_up(
    engine: Engine,
    runs: Sequence[RunConfig],
    limits: Limits,
    say: Say = lambda line: None,
) -> int:
    """Compiles what a batch of the engine's needs under each of `runs`; returns how many programs.

    Each is called once on zeros, so that it lies ready in this process and in the cache on disk.
    `say` takes lines of progress.
    """
    before, said = engine.clock.programs, time.monotonic()
    counts = dict(engine.counts)
    cases = _cases(engine, runs, limits)
    capacities = sorted({case.capacity for case in cases})
    calls = [*_vision_calls(engine, limits)]
    calls += [call for capacity in capacities for call in _reading_calls(engine, limits, capacity)]
    calls += [
        functools.partial(_resize, engine, kept, capacity)
        for kept, capacity in itertools.product(capacities, repeat=2)
        if kept < capacity or kept > 2 * capacity
    ]
    calls += [functools.partial(_decode, engine, limits, case) for case in cases]
    most = capacities[-1]
    with engine.computing(most), ThreadPoolExecutor(_threads(engine, most)) as threads:
        running = [threads.submit(_in_precision, engine, call) for call in calls]
        for number, call in enumerate(as_completed(running), start=1):
            call.result()
            if time.monotonic() - said >= _SAID_EVERY:
                said = time.monotonic()
                say(f"compiling: {number} of {len(calls)} shapes are ready")
    engine.counts.update(counts)  # zeros are nobody's prompt
    made = engine.clock.programs - before
    say(f"compiled {made} programs")
    return made


class _Case(NamedTuple):
    """A run on a prompt that stands for all prompts whose answers go through its capacities."""

    run: RunConfig
    capacity: int  # that the prompt is read into
    video: int  # tokens
    before: int  # text tokens before the clip's end, the times within it among them
    behind: int


def _cases(engine: Engine, runs: Sequence[RunConfig], limits: Limits) -> list[_Case]:
    longest = max(run.sampling.max_new_tokens for run in runs)
    least, most = limits.video_tokens()
    behind = limits.behind + ladder.piece_lengths()[-1]
    # Of a shorter prompt nothing is steered where it is steered as a whole.
    prompts = range(max(SINKS + 2, least), most + limits.before + behind + 1)
    lengths = [(prompt, prompt) for prompt in prompts]  # without a clip all is text
    if most:
        lengths = list(itertools.product(prompts, _rests(behind)))
    found: dict[tuple, _Case] = {}
    layers = engine.model.config.text.layers
    for run in runs:
        steered = most > 0 or placement_tokens(run.controller.placement) != "video"
        settings = DecodeSettings.of(run, engine.mesh, layers=layers, steered=steered)
        for prompt, rest in lengths:
            end = prompt - rest
            # As few tokens of video as may stand before it, and as many.
            fewest, fullest = max(least, end - limits.before), min(end, most)
            for video in {fewest, fullest} if fewest <= fullest else ():
                path = _capacities(run, engine, limits, prompt, end, video, longest)
                case = _Case(run, path[0], video, end - video, rest)
                found.setdefault((settings, run.prune, path), case)
    return list(found.values())


def _rests(most: int) -> tuple[int, ...]:
    """How much text may stand behind a clip: so many that no length of a delta is left out."""
    step = ladder.steered(1)
    return (2, *range(step, most, step), most)


def _capacities(
    run: RunConfig, engine: Engine, limits: Limits, prompt: int, end: int, video: int, longest: int
) -> tuple[int, ...]:
    """Those that a batch's cache has, read, pruned and full; and that of its delta.

    A prompt's clip ends at `end` and has `video` tokens.
    """
    tokens, dropped = run.sampling.max_new_tokens, int(video * run.prune.fraction)
    kept = prompt - dropped
    rows = engine.rows(limits.samples)
    read = ladder.first_capacity(prompt, longest, engine.rows(1))
    pruned = ladder.pruned_capacity(read, kept, tokens, rows) if run.prune.fraction else read
    full = max(pruned, ladder.capacity(kept + 1 + ladder.decode_room(tokens), rows))
    places = {"video": end - dropped, "question": prompt - end, "prompt": kept}
    plain = run.controller.objective == "none"
    asked = "none" if plain else placement_tokens(run.controller.placement)
    steered = ladder.steered(places.get(asked, 1))
    return read, pruned, full, steered


def _threads(engine: Engine, capacity: int) -> int:
    """As many as the machine has, but none beyond those whose caches fit side by side.

    One where several devices work together: they must be given their programs in one order.
    """
    if engine.mesh.size > 1:
        return 1
    free = memory.free_bytes(engine.mesh.local_devices[0])
    config, itemsize = engine.model.config, engine.dtype.itemsize
    each = 3 * memory.bytes_per_video_token(config, itemsize) * capacity * engine.rows(1)
    fitting = os.cpu_count() if free is None else free // each
    return max(1, min(os.cpu_count() or 1, fitting or 1))


def _in_precision(engine: Engine, call: Call) -> None:
    # JAX's settings hold for a thread.
    with engine.precision():
        jax.block_until_ready(call())


def _vision_calls(engine: Engine, limits: Limits) -> Iterator[Call]:
    config = engine.model.vision.config
    grids: dict[int, tuple[int, int]] = {}
    for height, width in sorted(limits.frame_sizes()):
        rows = len(frame_plan(height, width, config).window)
        grids.setdefault(rows, (height, width))
    for rows, grid in grids.items():
        for places in set(media.places(rows, config)):
            patches = math.ceil(limits.frames / config.geometry.temporal_patch)
            count = min(places, patches * engine.rows(1))
            values = np.zeros((count * math.prod(grid), config.geometry.patch_values), np.uint8)
            clip = Patches(values, (count, *grid))
            yield functools.partial(_encode, engine, clip)


def _encode(engine: Engine, clip: Patches) -> object:
    return media.encode_media(engine.model.vision, [clip], engine.mesh).blocks


def _reading_calls(engine: Engine, limits: Limits, capacity: int) -> Iterator[Call]:
    """Pieces with media, of the clips that are read together, and pieces of text alone."""
    prefixes, rows = engine.prefixes, engine.rows(1)
    together = prefixes.at_once(rows, capacity)
    programs = {
        (count, length, prefixes.blocks_of(count, length, media=shared)): shared
        for length in ladder.piece_lengths()
        for count, shared in ((rows, False), (together, True))
        if length < capacity and (limits.frames or not shared)
    }
    for (count, length, _), shared in programs.items():
        yield functools.partial(_read, engine, count, capacity, length, shared)
    if together > 1 or rows > 1:
        yield functools.partial(_take, engine, together, capacity)
    if limits.samples > 1:
        yield functools.partial(_repeat, engine, limits.samples, capacity)


def _read(engine: Engine, count: int, capacity: int, length: int, shared: bool) -> object:
    """Reads a piece of zeros."""
    rows = PromptRows.of([blank_prompt(length, 2)] * count)
    index = [np.full(length, 0 if shared else TEXT)] * count
    (piece,) = (p for p in rows.shared_pieces(index) if p.token_ids.shape[1] == length)
    blank = engine.prefixes.blank(count, capacity)
    return engine.prefixes.read_piece(blank, rows, piece, [engine.prefixes.nothing] * shared)


def _resize(engine: Engine, capacity: int, wanted: int) -> object:
    """Grows what is kept of a clip for a longer question about it, or cuts it for a short one."""
    prefixes = engine.prefixes
    blank = prefixes.blank(prefixes.at_once(engine.rows(1), capacity), capacity)
    return resized(blank, wanted, engine.mesh)


def _take(engine: Engine, together: int, capacity: int) -> object:
    blank = engine.prefixes.blank(together, capacity)
    return engine.prefixes.taken([blank], np.zeros(engine.rows(1), np.int32))


def _repeat(engine: Engine, samples: int, capacity: int) -> object:
    return engine.repeated_cache(engine.prefixes.blank(engine.rows(1), capacity), samples)


def _decode(engine: Engine, limits: Limits, case: _Case) -> object:
    """Decodes a chunk, and one of the answer's end where the cache grows for it."""
    count = engine.rows(limits.samples)
    prompt = blank_prompt(case.video, case.behind, before=case.before)
    rows, seeds = PromptRows.of([prompt] * count), np.zeros((count, 2))
    blank = engine.prefixes.blank(count, case.capacity)
    started = engine.begin(blank, rows, case.run, seeds.astype(np.uint32))
    capacity = started.state.cache.capacity
    state = _chunk(engine, started, started.state)
    tokens, made = case.run.sampling.max_new_tokens, capacity - started.slot + 1
    if made <= tokens:
        state = with_room(state, started.slot, made, tokens, started)
        state = _chunk(engine, started, state)
    return state


def _chunk(engine: Engine, started: Started, state: DecodeState) -> DecodeState:
    state, _ = decode_chunk(
        engine.model.decoder,
        started.context,
        state,
        settings=started.settings,
        steps=ladder.DECODE_CHUNK,
    )
    return state


def blank_prompt(video: int, text: int, *, before: int = 0) -> Prompt:
    """Returns a prompt of zeros: text `before` a clip of so many video tokens, and text behind."""
    types = np.repeat([TEXT_TOKEN, VIDEO_TOKEN, TEXT_TOKEN], [before, video, text])
    count = len(types)
    zeros = np.zeros(count, np.int32)
    words = (before + video, count)
    media = (Medium("video", (1, 1, video)),) if video else ()
    return Prompt(zeros, np.zeros((3, count), np.int32), 0, media, types, words)
