"""Training arrays from samples of `shapes`, made ahead in a separate process.

That process computes with NumPy alone: it takes no device.
"""

import contextlib
import functools
import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vreason_jax.errors import UserError
from vreason_jax.families.registry import family_of, read_model_config
from vreason_jax.prompt.chat import VIDEO_TOKEN, Prompt, build_prompt
from vreason_jax.prompt.positions import Medium
from vreason_jax.prompt.tokenizer import PromptTokenizer
from vreason_jax.shapes.description import question_in_words
from vreason_jax.shapes.kinds.before_after import EVENTS
from vreason_jax.shapes.render import render
from vreason_jax.shapes.sample import SampleText, sample_text
from vreason_jax.shapes.scene import COLOURS, FPS, HEIGHT, SHAPES, WIDTH
from vreason_jax.shapes.text import encode_example
from vreason_jax.shapes.tokenizer import load_tokenizer
from vreason_jax.shapes.words import COLUMN_WORDS, ORDINALS, ROW_WORDS
from vreason_jax.training.config import GEOMETRY, TrainConfig
from vreason_jax.training.plan import batch_order, picks
from vreason_jax.video.patches import patchify

_AHEAD = 6  # batches
# The words that say what a clip shows or what is asked: they are learned last. The others are
# worded at random.
_CONTENT = {
    *(*COLOURS, *SHAPES, *ROW_WORDS, *COLUMN_WORDS, *EVENTS),
    *("far", "up", "down", "hidden", "bounce", "once", "twice", "three"),
    *("fast", "slow", "still", "empty", "nothing", "before", "after", *ORDINALS),
}

Arrays = dict[str, np.ndarray]  # the fields of loss.Batch
Encoded = tuple[Prompt, np.ndarray, np.ndarray]  # with the reply's ids and their weights


class BatchMaker:
    """Makes the batch of any step, and keeps the texts of the current buffer."""

    def __init__(self, config: TrainConfig, checkpoint: Path):
        """`checkpoint` is a folder with the tokenizer, the template and config.json."""
        self._config, self._model = config, read_model_config(checkpoint)
        self._prompts = PromptTokenizer.load(checkpoint)
        self._tokenizer = load_tokenizer(checkpoint)
        words = [self._prompts.decode([number]).strip() for number in range(len(self._prompts))]
        self._content = np.array([word.isdecimal() or word in _CONTENT for word in words])
        self._buffer = functools.lru_cache(maxsize=2)(self._load_buffer)

    def batch(self, step: int) -> Arrays:
        """Returns the arrays of step 0, 1, ..."""
        number, place = divmod(step, self._config.data.buffer)
        texts, examples, order = self._buffer(number)
        return self.assemble([(texts[row], examples[row]) for row in order[place]])

    def example(self, text: SampleText) -> Encoded:
        """Returns the prompt, the reply's ids with the end of the turn, and their weights."""
        media, question = [_medium(text)], text.question
        if self._config.data.shown == "words":
            media, question = [], question_in_words(text)
        prompt = build_prompt(
            self._prompts,
            media,
            question,
            tokens_per_second=self._model.tokens_per_second,
            form=family_of(self._model).prompt,
        )
        example = encode_example(self._tokenizer, question, text.reply, video_tokens=0)
        reply = example.token_ids[example.prompt_length :]
        data, start = self._config.data, example.prompt_length
        weights = np.where(self._content[reply] & example.seen[start:], data.content_weight, 1.0)
        return prompt, reply, weights.astype(np.float32)

    def assemble(self, rows: list[tuple[SampleText, Encoded]]) -> Arrays:
        """Returns the arrays of samples and their examples, padded to one length."""
        size = self._config.data.prompt_tokens
        multiple = self._config.data.reply_multiple
        room = -(-max(len(reply) for _, (_, reply, _) in rows) // multiple) * multiple
        padded = [_pad(*example, size, room, self._prompts.ids.pad) for _, example in rows]
        arrays = {name: np.stack([row[name] for row in padded]) for name in padded[0]}
        if self._config.data.shown == "words":
            return {"pixels": np.zeros((len(rows), 0), np.uint8), **arrays}
        return {"pixels": np.stack([_pixels(text) for text, _ in rows]), **arrays}

    def _load_buffer(self, number: int):
        count = self._config.data.buffer * self._config.data.batch
        chosen = picks(self._config, number * count, count)
        frames = self._config.data.frames
        texts = [sample_text("train", p.index, p.kind, p.level, frames=frames) for p in chosen]
        examples = [self.example(text) for text in texts]
        lengths = tuple(len(reply) for _, reply, _ in examples)
        return texts, examples, batch_order(self._config, number, lengths)


@contextlib.contextmanager
def batches_ahead(config: TrainConfig, checkpoint: Path, first: int) -> Iterator[Iterator[Arrays]]:
    """Opens an iterator over the batches from step `first` on, made ahead in another process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_send_batches, args=(config, checkpoint, first, sender), daemon=True
    )
    process.start()
    sender.close()  # else the end of the process would go unnoticed
    ready: queue.Queue = queue.Queue(maxsize=_AHEAD)
    stopped = threading.Event()
    thread = threading.Thread(target=_receive, args=(receiver, ready, stopped), daemon=True)
    thread.start()
    try:
        yield _taken(ready)
    finally:
        stopped.set()
        process.terminate()
        process.join()
        thread.join()
        receiver.close()


def _taken(ready: queue.Queue) -> Iterator[Arrays]:
    while True:
        arrays = ready.get()
        if arrays is None:
            raise RuntimeError("the process that makes batches has ended; its error stands above")
        if isinstance(arrays, UserError):
            raise arrays
        yield arrays


def _receive(receiver, ready: queue.Queue, stopped: threading.Event) -> None:
    arrays: Arrays | UserError | None = {}
    while arrays is not None and not stopped.is_set():
        try:
            arrays = receiver.recv()
        except (EOFError, OSError):
            arrays = None
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(arrays, timeout=0.1)
                break


def _send_batches(config: TrainConfig, checkpoint: Path, first: int, sender) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to handle
    maker = BatchMaker(config, checkpoint)
    # The pipe breaks when the trainer is killed: nothing is left running.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            for step in range(first, config.run.steps):
                sender.send(maker.batch(step))
        except UserError as error:
            sender.send(error)


def _medium(text: SampleText) -> Medium:
    """The clip as its prompt has it."""
    side, depth = GEOMETRY.token_pixels, GEOMETRY.temporal_patch
    grid = (text.scene.frames // depth, HEIGHT // side, WIDTH // side)
    times = (np.arange(grid[0]) * depth + (depth - 1) / 2) / FPS
    return Medium("video", grid, depth / FPS, tuple(times.tolist()))


def _pixels(text: SampleText) -> np.ndarray:
    """The clip's patches as bytes: uint8 [t, h * w, patch values]."""
    patches = patchify(render(text.scene), GEOMETRY)
    time, height, width = patches.grid
    return patches.values.reshape(time, height * width, -1)


def _pad(prompt: Prompt, reply: np.ndarray, weights, size: int, room: int, pad_id: int) -> Arrays:
    length = len(prompt.token_ids)
    if length > size:
        raise UserError(
            f"data.prompt_tokens: expected room for a prompt of {length} tokens, got {size}; "
            "set it higher, with another folder in --out"
        )
    left, right = size - length, room - len(reply)
    following = prompt.next_position + np.arange(room)
    positions = np.concatenate(
        [np.zeros((3, left)), prompt.positions, np.broadcast_to(following, (3, room))], axis=1
    )
    ids = np.pad(np.concatenate([prompt.token_ids, reply]), (left, right), constant_values=pad_id)
    return {
        "token_ids": ids.astype(np.int32),
        "positions": positions.astype(np.int32),
        "starts": np.asarray(left, np.int32),
        "video_slots": (left + np.flatnonzero(prompt.token_types == VIDEO_TOKEN)).astype(np.int32),
        "weights": np.pad(weights, (0, right)),
    }
