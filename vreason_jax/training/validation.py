"""Greedy answers to validation questions, through the same prefill and decoding as `generate`."""

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from vreason_jax import inputs as inputs_lib
from vreason_jax.config import RunConfig, apply_overrides
from vreason_jax.decoding.driver import decode_in_chunks
from vreason_jax.decoding.prefill import prefill
from vreason_jax.decoding.state import DecodeContext, DecodeSettings, DecodeState, TokenTrace
from vreason_jax.engine import Checkpoint
from vreason_jax.inputs import Prepared
from vreason_jax.model.qwen25_vl import Qwen25VL
from vreason_jax.model.vision import encode_media
from vreason_jax.model.windows import window_plan
from vreason_jax.output.answer import extract_answer
from vreason_jax.runtime.mesh import place_rows
from vreason_jax.shapes import KINDS, Sample, sample
from vreason_jax.training.config import TrainConfig
from vreason_jax.training.plan import validation_picks

_CLOSED = ("</think>", "</answer>")


class Validation:
    """A fixed set of questions, prepared once."""

    def __init__(self, config: TrainConfig, checkpoint: Path):
        """`checkpoint` is a folder with everything but the weights."""
        overrides = {
            "controller.objective": "none",
            "sampling.max_new_tokens": config.run.max_new_tokens,
            "video.num_frames": config.data.frames,
        }
        self._batch = config.run.validate_batch
        self._checkpoint = Checkpoint.open(checkpoint, apply_overrides(RunConfig(), overrides))
        self._samples = [
            sample("validation", pick.index, pick.kind, pick.level, frames=config.data.frames)
            for pick in validation_picks(config.run.validate_questions)
        ]
        self._rows = [self._prepare(sample) for sample in self._samples]

    def replies(self, model: Qwen25VL, mesh: Mesh) -> list[tuple[str, int]]:
        """Returns the text and the number of tokens of each greedy reply."""
        found = []
        for first in range(0, len(self._rows), self._batch):
            found += self._decode(model, mesh, self._rows[first : first + self._batch])
        return found

    def scores(self, model: Qwen25VL, mesh: Mesh) -> dict[str, Any]:
        """Returns accuracy overall, by kind and by level, mean tokens, and the share closed."""
        return score(self._samples, self.replies(model, mesh))

    def _prepare(self, sample: Sample) -> Prepared:
        question = inputs_lib.as_question((sample.frames, sample.fps), sample.question)
        return self._checkpoint.prepare(question)

    def _decode(self, model, mesh, rows: list[Prepared]) -> list[tuple[str, int]]:
        started = start_decoding(model, mesh, rows, self._checkpoint)
        tokens = np.concatenate([chunk.token for chunk in run_to_the_end(model, started)])
        return [self._text(column) for column in tokens.T]

    def _text(self, ids: np.ndarray) -> tuple[str, int]:
        ends = np.flatnonzero(np.isin(ids, self._checkpoint.tokenizer.ids.eos))
        kept = ids[: ends[0]] if len(ends) else ids
        return self._checkpoint.tokenizer.decode(kept), len(kept)


class Started(NamedTuple):
    """A batch after prefill."""

    context: DecodeContext
    state: DecodeState
    first: TokenTrace  # of the token that prefill drew
    settings: DecodeSettings
    tokens: int  # most that a reply may have
    video_slots: np.ndarray  # int32 [B, M], before pruning


def start_decoding(
    model: Qwen25VL, mesh: Mesh, rows: Sequence[Prepared], checkpoint: Checkpoint
) -> Started:
    """Returns the batch after vision and prefill; all videos must have one grid."""
    tokenizer, run = checkpoint.tokenizer, checkpoint.run
    settings = DecodeSettings.of(run, tokenizer.ids.eos, has_video=True)
    inputs, dropped, lengths = inputs_lib.batch_inputs(rows, run, tokenizer.ids.pad)
    _, height, width = rows[0].patches[0].grid
    pixels = np.stack([row.patches[0].values for row in rows])
    pixels = pixels.reshape(-1, height * width, pixels.shape[-1])
    media = encode_media(
        model,
        place_rows(pixels, mesh, len(pixels)),
        window_plan(height, width, model.config.vision),
    )
    context, state, first = prefill(
        model,
        place_rows(inputs, mesh, len(rows)),
        [media],
        dropped,
        settings=settings,
        pruning=run.prune,
        lengths=lengths,
    )
    tokens = run.sampling.max_new_tokens
    return Started(context, state, first, settings, tokens, np.asarray(inputs.video_slots))


def run_to_the_end(model: Qwen25VL, started: Started) -> Iterator[TokenTrace]:
    """Yields traces [some tokens, B] until every reply has ended."""
    return decode_in_chunks(
        model,
        started.context,
        started.state,
        started.first,
        settings=started.settings,
        tokens=started.tokens,
    )


def score(samples: Sequence[Sample], replies: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Returns accuracy overall, by kind and by level, mean tokens, and the share closed."""
    right = collections.defaultdict(list)
    for asked, (text, _) in zip(samples, replies, strict=True):
        correct = extract_answer(text) == asked.answer
        for key in ("accuracy", asked.kind, f"level {asked.level}"):
            right[key].append(correct)
    means = {key: round(float(np.mean(values)), 4) for key, values in right.items()}
    closed = [all(tag in text for tag in _CLOSED) for text, _ in replies]
    return {
        "accuracy": means.pop("accuracy"),
        "kinds": {kind: means[kind] for kind in KINDS if kind in means},
        "levels": {key[6:]: means[key] for key in sorted(means) if key.startswith("level")},
        "tokens": round(float(np.mean([count for _, count in replies])), 1),
        "closed": round(float(np.mean(closed)), 4),
    }
