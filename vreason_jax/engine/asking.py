"""A user's questions on their way through the engine, and what their traces say beside tokens."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vreason_jax.config import RunConfig
from vreason_jax.decoding.driver import text_length
from vreason_jax.decoding.state import TokenTrace
from vreason_jax.engine.ahead import DecodingAhead
from vreason_jax.engine.answer import Answer
from vreason_jax.engine.engine import Engine
from vreason_jax.output.warnings import failure_signs, prompt_warnings
from vreason_jax.prompt.tokenizer import TextStream
from vreason_jax.questions import Prepared

STAGES = ("video", "vision", "prefill", "decode")


class Asking:
    """Questions that are read and answered together; `finish` gives their answers."""

    def __init__(
        self,
        engine: Engine,
        run: RunConfig,
        questions: Sequence[Prepared],
        *,
        samples: int | None = None,
        ignore_eos: bool = False,
        video_seconds: float = 0.0,
        first: bool = False,
    ):
        """Asks one question `samples` times, where that is given.

        `video_seconds` is what preparing the questions took. The `first` questions of an engine
        are read while what decodes them is compiled.
        """
        video = any(question.video_tokens for question in questions)
        run.check_samples(1 if samples is None else samples, video=video)
        self._engine, self._run, self._questions = engine, run, questions
        self._samples, self._ignore_eos = samples, ignore_eos
        self._video_seconds = video_seconds
        self._first = first and samples is None and DecodingAhead.serves(engine, run)
        self._traces: list[TokenTrace] = []
        self._spent: collections.Counter[str] = collections.Counter()
        self._chunks = self._counted(self._ask())

    def pieces(self) -> Iterator[str]:
        """Yields the first answer's text as it becomes known, to the end."""
        tokenizer = self._engine.checkpoint.tokenizer
        stream, ended = TextStream(tokenizer), False
        for chunk in self._chunks:
            row = TokenTrace(*(values[:, 0] for values in chunk))
            length = 0 if ended else text_length(row, self._eos)
            ended |= length < len(row.token)
            yield stream.push(row.token[:length])
        yield stream.finish()

    def finish(self) -> list[Answer]:
        """Decodes what is left and returns the answers."""
        for _ in self._chunks:
            pass
        answers = self._engine.answers(self._batch, self._traces, ignore_eos=self._ignore_eos)
        return [
            dataclasses.replace(answer, facts=self._facts(row, question, answer))
            for row, (answer, question) in enumerate(
                zip(answers, self._batch.questions, strict=False)
            )
        ]

    @property
    def _eos(self) -> tuple[int, ...]:
        return () if self._ignore_eos else self._engine.checkpoint.tokenizer.ids.eos

    def _ask(self) -> Iterator[TokenTrace]:
        engine, run = self._engine, self._run
        self._said: list[str] = []
        for question in self._questions:
            self._say(self._prompt_warnings(question))
        ahead = self._first and DecodingAhead(engine, self._questions, run)
        batch = engine.read(self._questions, run.sampling.max_new_tokens)
        self._batch = batch if self._samples is None else engine.repeated(batch, self._samples)
        started = engine.start(self._batch, run, samples=self._samples is not None, keep=False)
        program = ahead.program() if ahead else None
        for chunk in engine.decode(started, run, ignore_eos=self._ignore_eos, program=program):
            self._traces.append(chunk)
            yield chunk

    def _counted(self, chunks: Iterator[TokenTrace]) -> Iterator[TokenTrace]:
        """Counts what each chunk takes: the engine may serve others between two."""
        while True:
            before = self._engine.usage()
            chunk = next(chunks, None)
            now = self._engine.usage()
            self._spent.update({key: value - before.get(key, 0) for key, value in now.items()})
            if chunk is None:
                return
            yield chunk

    def _facts(self, row: int, question: Prepared, answer: Answer) -> dict[str, Any]:
        loading, spent = self._engine.loading, self._spent
        own = self._video_seconds
        seconds = {name: own if name == "video" else spent[name] for name in STAGES}
        seed = (self._run.sampling.seed + (row if self._samples is not None else 0)) % 2**32
        facts = {
            "config": self._config_record(seed),
            "videos": _video_records(question),
            "seconds": {
                "load": loading["load"],
                "compile": loading["compile"] + spent["compile"],
                **seconds,
            },
            "tokens": {
                "prompt": len(question.prompt.token_ids),
                "video": question.video_tokens,
                "generated": len(answer.tokens.token),
            },
            "programs": {
                "compiled": spent["programs"] - spent["from_cache"],
                "from_cache": spent["from_cache"],
            },
            "padding": {
                "prompt": _padding(spent, "prompt_tokens", "prompt_slots"),
                "vision": _padding(spent, "vision_patches", "vision_slots"),
            },
        }
        return {**facts, "warnings": self._warnings(question, answer, facts)}

    def _warnings(self, question: Prepared, answer: Answer, facts: dict[str, Any]) -> list[str]:
        """All of this answer's, of which those of its own are passed on now, the rest have been."""
        own = [notice for clip in question.media.clips for notice in clip.notices]
        own += failure_signs(
            {**answer.arrays(), **facts},
            vocabulary_size=self._engine.checkpoint.config.text.vocabulary,
            value_norm=float(answer.tokens.value_norm[-1]),
        )
        self._say(own)
        before = [*self._engine.load_warnings, *self._prompt_warnings(question)]
        return [*before, *self._batch.warnings, *own]

    def _prompt_warnings(self, question: Prepared) -> list[str]:
        """What is said before anything is computed."""
        budget = self._run.sampling.max_new_tokens
        return prompt_warnings(question.prompt, self._engine.checkpoint.config, budget)

    def _say(self, lines: Sequence[str]) -> None:
        """Passes on what has not been said yet."""
        for line in lines:
            if line not in self._said:
                self._said.append(line)
                self._engine.warn(line)

    def _config_record(self, seed: int) -> dict[str, Any]:
        record = self._run.to_dict()
        sizing = self._engine.checkpoint.preprocessing.video_sizing(self._run.video)
        record["video"].update(dataclasses.asdict(sizing.limits))
        record["model"]["dtype"] = self._engine.dtype.name
        record["sampling"]["seed"] = seed
        return record


def _padding(spent: Mapping[str, float], used: str, room: str) -> float:
    slots = spent[f"counts.{room}"]
    return round(1 - spent[f"counts.{used}"] / slots, 4) if slots else 0.0


def _video_records(question: Prepared) -> list[dict[str, Any]]:
    return [
        {
            "path": clip.path,
            "reader": clip.reader,
            "frame_indices": clip.frame_indices,
            "times": clip.times.tolist(),
            "fps": clip.fps,
            "grid_thw": patches.grid,
        }
        for clip, patches, medium in zip(
            question.media.clips, question.media.patches, question.prompt.media, strict=True
        )
        if medium.kind == "video"
    ]
