"""The Python interface: load a checkpoint once, then ask it about videos."""

import time
from collections.abc import Collection, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig, config_values
from vreason_jax.engine.answer import Answer
from vreason_jax.engine.asking import Asking
from vreason_jax.engine.engine import Engine
from vreason_jax.engine.warm_up import TOKENS_A_WORD, Limits, warm_up
from vreason_jax.errors import UserError
from vreason_jax.questions import Prepared, as_question
from vreason_jax.settings import apply_overrides, convert, in_range


def load(
    model: str | Path | None = None,
    config: str | Path | RunConfig | None = None,
    mesh: str | None = None,
    **overrides: Any,
) -> "Reasoner":
    """Returns a Reasoner with the weights on the devices.

    Args:
      model: a folder in HF layout or a converted one, a hub id, the name of an embedded checkpoint,
        or None for the first of these.
      config: a RunConfig, a name of `configs/` or a TOML path; None is V-Reason.
      mesh: such as "data=1,model=4"; None puts all devices on `model` where the model allows.
      overrides: config keys with two underscores for the dot: controller__every=8.

    Raises UserError for a wrong checkpoint, config or mesh.
    """
    keys = _keys(overrides)
    if not isinstance(config, RunConfig):
        keys, config = {**config_values(_config_name(config)), **keys}, RunConfig()
    run = apply_overrides(config, keys)
    mesh = convert("mesh", mesh, str | None)
    checkpoint = Checkpoint.open(convert("model", model, str | None))
    checkpoint.sampled(run, keys)  # what is wrong with it is told before the weights load
    return Reasoner(Engine.load(checkpoint, run.model, mesh), run, given=keys)


class Reasoner:
    """Answers questions about videos with one model. Made by `load`.

    What every call takes beside its question are config keys for this call alone, with two
    underscores for the dot; `seed` is short for `sampling__seed`. Nothing is loaded again.
    Questions about one clip, in one batch or one after the other, share its reading.
    """

    def __init__(self, engine: Engine, run: RunConfig, *, given: Collection[str] = ()):
        """Answers with the model of `engine`, under `run` unless a call says otherwise.

        The keys `given` are those that were set by hand.
        """
        self.engine, self.run, self._given = engine, run, given

    def generate(
        self, video: Any, prompt: str, *, samples: int | None = None, **overrides: Any
    ) -> Any:
        """Returns the Answer to `prompt` about `video`; with `samples` a list of so many.

        `video` is a path (a file, or a folder of frames), (frames uint8 [F, h, w, 3], fps), a list
        of these, or None; a path with an image's suffix is an image. Samples come from one reading
        of the prompt, by the seeds `sampling.seed` and on. Raises UserError.
        """
        asking = self._asking([(video, prompt)], self._run(overrides), samples)
        answers = asking.finish()
        return answers[0] if samples is None else answers

    def generate_batch(
        self, questions: Iterable[tuple[Any, str]], **overrides: Any
    ) -> list[Answer]:
        """Returns the answers to (video, prompt) pairs, decoded together; each as if alone."""
        if not isinstance(questions, Iterable):
            raise UserError(f"questions: expected pairs of video and prompt, got {questions!r:.40}")
        questions, run = list(questions), self._run(overrides)
        for question in questions:
            if not (isinstance(question, tuple | list) and len(question) == 2):
                kind = type(question).__name__
                raise UserError(f"questions: expected pairs of video and prompt, got a {kind}")
        return self._asking(questions, run).finish() if questions else []

    def stream(self, video: Any, prompt: str, **overrides: Any) -> Generator[str, None, Answer]:
        """Yields the answer's text in pieces as it is decoded, and returns the Answer."""
        asking = self._asking([(video, prompt)], self._run(overrides))
        yield from asking.pieces()
        return asking.finish()[0]

    def warm_up(
        self, *, frames: int | None = None, words: int = 64, samples: int = 1, **overrides: Any
    ) -> int:
        """Compiles what single questions within these limits need; returns how many programs.

        `frames` of a clip and `words` of a question are at most so many; frames have the pixels,
        and answers the tokens, of the config under `overrides`. `frames` left out are those of
        `video.num_frames`, or `video.max_frames`; 0 are questions without a clip. Each is answered
        `samples` times. Raises UserError.
        """
        run = self._run(overrides)
        frames, words = convert("frames", frames, int | None), convert("words", words, int)
        in_range("frames", frames, 0)
        in_range("words", words, 1)
        samples = convert("samples", samples, int)
        run.check_samples(samples)
        limits = Limits.of(
            self.engine.checkpoint,
            run,
            question=TOKENS_A_WORD * words,
            frames=frames,
            samples=samples,
        )
        return warm_up(self.engine, [run], limits)

    def _asking(self, questions, run: RunConfig, samples: int | None = None) -> Asking:
        samples = convert("samples", samples, int | None)
        began = time.perf_counter()
        rows = []
        for number, (video, prompt) in enumerate(questions):
            try:
                rows.append(self._prepare(video, prompt, run))
            except UserError as error:
                place = f"questions[{number}]: " if len(questions) > 1 else ""
                raise UserError(f"{place}{error}") from None
        seconds = time.perf_counter() - began
        self.engine.checkpoint.check_memory(run, rows, samples or 1)
        return Asking(self.engine, run, rows, samples=samples, video_seconds=seconds)

    def _prepare(self, video: Any, prompt: str, run: RunConfig) -> Prepared:
        return self.engine.checkpoint.prepare(as_question(video, prompt), run)

    def _run(self, overrides: dict[str, Any]) -> RunConfig:
        keys = _keys(overrides)
        run = apply_overrides(self.run, keys)
        run = self.engine.checkpoint.sampled(run, {*self._given, *keys})
        dtype = self.engine.checkpoint.dtype
        for key, same in (
            ("dtype", dtype(run.model) == dtype(self.run.model)),
            ("weights", run.model.weights == self.run.model.weights),
        ):
            if not same:
                raise UserError(f"model.{key}: the weights are loaded; pass it to vreason_jax.load")
        return run


def _keys(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Returns overrides by dotted key."""
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    if {"seed", "sampling.seed"} <= keys.keys():
        raise UserError("seed: expected it once, got seed and sampling__seed; leave one out")
    if "seed" in keys:
        keys["sampling.seed"] = keys.pop("seed")
    if "samples" in keys:
        raise UserError("samples: expected in generate alone, which answers one question")
    return keys


def _config_name(config: Any) -> str:
    if isinstance(config, Mapping):
        raise UserError(
            "config: expected a RunConfig, a name or a TOML path, got a mapping; pass its keys by "
            "themselves, as controller__every=8"
        )
    return convert("config", config, str | None) or "vreason"
