"""The goldens' cases as this package's own records, run on its model."""

from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import reference_cases
from reference_cases import CHECKPOINT_SEED, Case, Image, Video, make_case
from tiny import write_tiny_checkpoint

from vreason_jax.config import RunConfig
from vreason_jax.decoding.driver import decode_in_chunks
from vreason_jax.decoding.prefill import prefill
from vreason_jax.decoding.state import DecodeSettings, TokenTrace
from vreason_jax.inputs import Prepared, Question, batch_inputs
from vreason_jax.model.config import read_model_config
from vreason_jax.model.qwen25_vl import Qwen25VL
from vreason_jax.model.vision import encode_media
from vreason_jax.model.windows import window_plan
from vreason_jax.prompt.chat import IMAGE_TOKEN, TEXT_TOKEN, VIDEO_TOKEN, Prompt
from vreason_jax.prompt.positions import Medium
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.settings import apply_overrides
from vreason_jax.video.patches import Patches

GOLDENS = Path(__file__).parent / "goldens"


@cache
def reference_model(folder: Path, dtype: str = "float32") -> Qwen25VL:
    """Returns the checkpoint that the goldens were made with."""
    if not (folder / "config.json").exists():
        write_tiny_checkpoint(folder, seed=CHECKPOINT_SEED)
    return load_model(folder, read_model_config(folder), dtype)


def prepared_rows(case: Case, rule: str) -> list[Prepared]:
    """Returns each row of a case as a prepared question."""
    positions, following = case.positions(rule)
    patches = iter(_patches_in_order(case))
    rows = []
    for row, parts in enumerate(case.rows):
        real = case.attention_mask[row].astype(bool)
        media = tuple(_medium(part) for part in parts if not isinstance(part, int))
        prompt = Prompt(
            token_ids=case.token_ids[row, real],
            positions=positions[:, row, real],
            next_position=int(following[row]),
            media=media,
            token_types=_token_types(parts),
        )
        cuts = tuple(next(patches) for _ in media)
        rows.append(Prepared(Question((), case.name), (), cuts, prompt))
    return rows


def encode_rows(model: Qwen25VL, rows: list[Prepared]) -> list:
    """Returns the vision tower's embeddings of all media, in prompt order."""
    embeddings = []
    for cut in (cut for row in rows for cut in row.patches):
        frames, height, width = cut.grid
        values = cut.values.reshape(frames, height * width, -1)
        plan = window_plan(height, width, model.config.vision)
        embeddings.append(encode_media(model, values, plan))
    return embeddings


def prompt_states(model: Qwen25VL, rows: list[Prepared]) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns every decoder layer's output [B, S, D], and the logits [B, S, V]."""
    inputs, _, _ = batch_inputs(rows, RunConfig(), pad_id=0)
    media = encode_rows(model, rows)
    x = model.embed_prompt(jnp.asarray(inputs.token_ids), media, jnp.asarray(inputs.media_slots))
    rotation = model.decoder.rotation(jnp.asarray(inputs.positions), x.dtype)
    outputs = model.decoder.prompt_layers(x, rotation, jnp.asarray(inputs.starts))
    logits = model.decoder.logits(outputs[-1][0])
    return [np.asarray(hidden, np.float32) for hidden, _, _ in outputs], np.asarray(logits)


def run_trace(model: Qwen25VL, rows: list[Prepared], keys: dict, tokens: int) -> TokenTrace:
    """Returns the NumPy trace [tokens, B] of decoding under the config keys given."""
    config = apply_overrides(RunConfig(), {**keys, "sampling.max_new_tokens": tokens})
    steered = any(row.video_tokens for row in rows)
    settings = DecodeSettings.of(config, (), has_video=steered)
    inputs, dropped, lengths = batch_inputs(rows, config, pad_id=0)
    context, state, first = prefill(
        model,
        inputs,
        encode_rows(model, rows),
        dropped,
        settings=settings,
        pruning=config.prune,
        lengths=lengths,
    )
    chunks = decode_in_chunks(model, context, state, first, settings=settings, tokens=tokens)
    return TokenTrace(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))


def load_case(name: str) -> tuple[Case, dict[str, np.ndarray]]:
    """Returns a case and what transformers computed for it."""
    with np.load(GOLDENS / f"model_{name}.npz") as arrays:
        return make_case(name), dict(arrays)


def _medium(part: Video | Image) -> Medium:
    if isinstance(part, Video):
        return Medium("video", part.grid, part.second_per_grid)
    return Medium("image", part.grid)


def _patches_in_order(case: Case) -> list[Patches]:
    """Media of all rows in prompt order; transformers keeps videos and images apart."""
    sources = {Video: [case.pixel_values_videos, 0], Image: [case.pixel_values, 0]}
    patches = []
    for part in (part for row in case.rows for part in row if not isinstance(part, int)):
        source, count = sources[type(part)], int(np.prod(part.grid))
        patches.append(Patches(source[0][source[1] : source[1] + count], part.grid))
        source[1] += count
    return patches


def _token_types(parts: tuple[reference_cases.Part, ...]) -> np.ndarray:
    types: list[int] = []
    for part in parts:
        if isinstance(part, int):
            types += [TEXT_TOKEN] * part
            continue
        kind = VIDEO_TOKEN if isinstance(part, Video) else IMAGE_TOKEN
        types += [TEXT_TOKEN, *[kind] * (int(np.prod(part.grid)) // 4), TEXT_TOKEN]
    return np.array(types, np.int32)
