"""One batch of questions on its way through the stages: vision, prefill, decode, answers."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from vreason_jax import inputs as inputs_lib
from vreason_jax.decoding.driver import decode_in_chunks, text_length, to_host
from vreason_jax.decoding.prefill import prefill
from vreason_jax.decoding.state import DecodeSettings, TokenTrace
from vreason_jax.engine import Engine
from vreason_jax.inputs import Prepared
from vreason_jax.output.trace import build_trace
from vreason_jax.output.warnings import failure_signs, prompt_warnings
from vreason_jax.prompt.tokenizer import TextStream
from vreason_jax.runtime import compilation, memory
from vreason_jax.runtime.mesh import place_rows


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of one question."""

    text: str
    answer: str | None  # what stands in the answer tags
    trace: dict[str, Any]  # plain values, the fields of the trace file
    seconds: dict[str, float]  # per stage; compilation stands by itself


class Session:
    """One batch of prepared questions on its way through vision, prefill and decoding."""

    def __init__(
        self,
        engine: Engine,
        rows: Sequence[Prepared],
        clock: compilation.CompileClock,
        *,
        ignore_eos: bool = False,
    ):
        self._engine, self._rows, self._clock = engine, rows, clock
        checkpoint = engine.checkpoint
        eos = () if ignore_eos else checkpoint.tokenizer.ids.eos
        steered = any(row.video_tokens for row in rows)
        self._settings = DecodeSettings.of(checkpoint.run, eos, has_video=steered)
        self._traces: list[TokenTrace] = []
        self._value_norms = np.zeros(len(rows))
        self._prompt_warnings = [self._prompt_warning(row) for row in rows]
        self._chunks = self._run()

    def pieces(self) -> Iterator[str]:
        """Yields the first row's text as it becomes known, to the end."""
        stream = TextStream(self._engine.checkpoint.tokenizer)
        for chunk in self._chunks:
            yield stream.push(self._text_ids(chunk.token[:, 0]))
        yield stream.finish()

    def finish(self) -> list[Answer]:
        """Decodes what is left and returns the answers."""
        for _ in self._chunks:
            pass
        joined = TokenTrace(*(np.concatenate(parts) for parts in zip(*self._traces, strict=True)))
        return [self._answer(row, joined) for row in range(len(self._rows))]

    def _run(self) -> Iterator[TokenTrace]:
        checkpoint = self._engine.checkpoint
        inputs, dropped, lengths = inputs_lib.batch_inputs(
            self._rows, checkpoint.run, checkpoint.tokenizer.ids.pad
        )
        self._check_memory(inputs)
        with self._clock, self._engine.computing(self._advice):
            with self._clock.stage("vision"):
                media = [m for row in self._rows for m in self._engine.encode(row.patches)]
                jax.block_until_ready(media)
            with self._clock.stage("prefill"):
                context, state, first = jax.block_until_ready(
                    prefill(
                        self._engine.model,
                        place_rows(inputs, self._engine.mesh, len(self._rows)),
                        media,
                        dropped,
                        settings=self._settings,
                        pruning=checkpoint.run.prune,
                        lengths=lengths,
                    )
                )
            self._value_norms = to_host(context.value_norm)
        yield from self._decode(context, state, first)

    def _decode(self, context, state, first) -> Iterator[TokenTrace]:
        checkpoint = self._engine.checkpoint
        chunks = decode_in_chunks(
            self._engine.model,
            context,
            state,
            first,
            settings=self._settings,
            tokens=checkpoint.run.sampling.max_new_tokens,
        )
        while True:
            with (
                self._clock,
                self._engine.computing(self._advice),
                self._clock.stage("decode"),
            ):
                chunk = next(chunks, None)
            if chunk is None:
                return
            self._traces.append(chunk)
            yield chunk

    def _text_ids(self, ids: np.ndarray) -> np.ndarray:
        """The ids of one row up to its end-of-sequence token, which is no text."""
        return ids[: text_length(ids, self._settings.eos_ids)]

    def _answer(self, row: int, joined: TokenTrace) -> Answer:
        checkpoint, prepared = self._engine.checkpoint, self._rows[row]
        text_ids = self._text_ids(joined.token[:, row])
        length = min(len(text_ids) + 1, len(joined.token))
        arrays = {name: values[:length, row] for name, values in joined._asdict().items()}
        arrays["token_ids"] = arrays.pop("token")
        trace = build_trace(
            arrays,
            text=checkpoint.tokenizer.decode(text_ids),
            config=self._config_record(),
            videos=_video_records(prepared),
            seconds=self._seconds(),
            tokens={
                "prompt": len(prepared.prompt.token_ids),
                "video": prepared.video_tokens,
                "generated": length,
            },
        )
        trace["warnings"] = self._warnings(trace, row)
        return Answer(trace["text"], trace["answer"], trace, trace["seconds"])

    def _warnings(self, trace: dict[str, Any], row: int) -> list[str]:
        """All of this answer's, of which those of its own are passed on now, the rest have been."""
        own = [notice for clip in self._rows[row].clips for notice in clip.notices]
        own += failure_signs(
            trace,
            vocabulary_size=self._engine.checkpoint.config.text.vocabulary,
            value_norm=float(self._value_norms[row]),
        )
        for line in own:
            self._engine.warn(line)
        before = [*self._engine.load_warnings, *self._prompt_warnings[row], *self._memory_warnings]
        return [*before, *own]

    def _prompt_warning(self, row: Prepared) -> list[str]:
        """What is said before anything is computed."""
        checkpoint = self._engine.checkpoint
        budget = checkpoint.run.sampling.max_new_tokens
        lines = prompt_warnings(row.prompt, checkpoint.config, budget)
        for line in lines:
            self._engine.warn(line)
        return lines

    def _config_record(self) -> dict[str, Any]:
        checkpoint = self._engine.checkpoint
        record = checkpoint.run.to_dict()
        limits = checkpoint.preprocessing.video_limits(checkpoint.run.video)
        record["video"].update(dataclasses.asdict(limits))
        record["model"]["dtype"] = checkpoint.dtype.name
        return record

    def _seconds(self) -> dict[str, float]:
        stages = self._clock.stages
        timed = {name: stages.get(name, 0.0) for name in ("video", "vision", "prefill", "decode")}
        compiling = self._engine.compile_seconds + self._clock.seconds
        return {"load": self._engine.load_seconds, "compile": compiling, **timed}

    def _check_memory(self, inputs) -> None:
        checkpoint, mesh = self._engine.checkpoint, self._engine.mesh
        rows, length = inputs.token_ids.shape
        video = int(inputs.video_mask.sum())
        per_token = memory.bytes_per_video_token(
            checkpoint.config, checkpoint.dtype.itemsize, mesh.shape["model"]
        )
        others = rows * (length + checkpoint.run.sampling.max_new_tokens) - video
        self._advice = (
            f"{video} video tokens and an answer of {checkpoint.run.sampling.max_new_tokens} do "
            "not fit; lower video.max_pixels, video.num_frames or sampling.max_new_tokens"
        )
        line = memory.memory_warning(
            video, memory.free_bytes(mesh.local_devices[0]), per_token, others
        )
        self._memory_warnings = [line] if line else []
        for line in self._memory_warnings:
            self._engine.warn(line)


def _video_records(prepared: Prepared) -> list[dict[str, Any]]:
    return [
        {
            "path": clip.path,
            "reader": clip.reader,
            "frame_indices": clip.frame_indices,
            "fps": clip.fps,
            "grid_thw": patches.grid,
        }
        for clip, patches, medium in zip(
            prepared.clips, prepared.patches, prepared.prompt.media, strict=True
        )
        if medium.kind == "video"
    ]
