"""The goldens' cases as this package's own records, run on its model."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import reference_cases
from jax.sharding import AxisType
from reference_cases import CHECKPOINT_SEED, Case, Image, Video, make_case
from tiny import write_tiny_checkpoint

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig
from vreason_jax.decoding.state import TokenTrace
from vreason_jax.engine.engine import Engine
from vreason_jax.families.model import Model
from vreason_jax.families.registry import read_model_config
from vreason_jax.model.attention import Layout, causal_context
from vreason_jax.model.cache import LayerCache, with_capacity
from vreason_jax.model.vision import Frames
from vreason_jax.model.windows import frame_plan
from vreason_jax.prompt.chat import IMAGE_TOKEN, TEXT_TOKEN, VIDEO_TOKEN, Prompt
from vreason_jax.prompt.positions import Medium
from vreason_jax.questions import Media, Prepared, Question
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.settings import apply_overrides
from vreason_jax.video.patches import Patches

MESH = jax.make_mesh((1, 1), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
GOLDENS = Path(__file__).parent / "goldens"


@cache
def reference_model(folder: Path, dtype: str = "float32") -> Model:
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
            words=reference_cases.words(parts, int(real.sum())),
        )
        cuts = tuple(next(patches) for _ in media)
        rows.append(Prepared(Question((), case.name), Media((), cuts), prompt))
    return rows


def engine_of(model: Model) -> Engine:
    """Returns an engine of the model alone: rows come prepared, and answers stay ids."""
    checkpoint = Checkpoint(Path(), model.config, None, None)  # type: ignore[arg-type]
    return Engine(checkpoint, model, MESH)


def assert_close(ours, reference):
    """Asserts that no number is off by more than 1e-4 of the largest reference value."""
    error = np.max(np.abs(ours - reference))
    assert error <= 1e-4 * np.max(np.abs(reference))


def blocks_in_patch_order(vision, cut):
    """Each block's output [P, D] in the order of the medium's patches."""
    frames, height, width = cut.grid
    plan = frame_plan(height, width, vision.config)
    rows, slots = plan.window.shape
    per_unit, values = vision.config.geometry.merge**2, cut.values.shape[-1]
    units = cut.values.reshape(frames, -1, per_unit * values)[:, plan.unit_of_slot]
    fixed = [a[None] for a in (*cut.scales(), *plan[1:4], np.array([height, width], np.int32))]
    found = []
    for frame in units.reshape(frames, 1, rows, slots, values):
        laid = Frames(frame, *fixed, plan.slot_of_unit)
        found.append(_run_blocks(vision, jax.tree.map(jnp.asarray, laid)))

    def in_order(x):
        return np.asarray(x).reshape(-1, per_unit, x.shape[-1])[plan.slot_of_unit]

    blocks = zip(*found, strict=True)
    return [np.concatenate([in_order(x) for x in block]).reshape(-1, block[0].shape[-1])
            for block in blocks]  # fmt: skip


@jax.jit
def _run_blocks(vision, laid):
    return vision.run_blocks(laid)


def prompt_states(model: Model, rows: list[Prepared]) -> tuple[list[np.ndarray], np.ndarray]:
    """Returns every decoder layer's output [B, S, D], and the logits [B, S, V].

    Rows are padded on the left to the longest, as transformers pads them.
    """
    states = [_row_states(model, row) for row in rows]
    longest = max(logits.shape[0] for _, logits in states)

    def padded(array):
        return np.pad(np.asarray(array, np.float32), ((longest - len(array), 0), (0, 0)))

    layers = zip(*(hidden for hidden, _ in states), strict=True)
    hidden = [np.stack([padded(row) for row in layer]) for layer in layers]
    return hidden, np.stack([padded(logits) for _, logits in states])


def _row_states(model: Model, row: Prepared) -> tuple[list, np.ndarray]:
    decoder, prompt = model.decoder, row.prompt
    length = len(prompt.token_ids)
    spare = -length % 128  # rows of many lengths share a program
    positions = np.pad(prompt.positions[:, None], ((0, 0), (0, 0), (0, spare)))
    x = decoder.embed(jnp.asarray(np.pad(prompt.token_ids, (0, spare))[None]))
    blocks, (index,) = engine_of(model).encode([row])
    stacked = []
    if len(index):
        at = np.flatnonzero(prompt.token_types != TEXT_TOKEN)
        media = jnp.concatenate(blocks)[index].astype(x.dtype)
        first, *others = jnp.split(media, 1 + decoder.config.stacked, axis=-1)
        stacked = [jnp.zeros_like(x).at[0, at].set(part) for part in others]
        x = x.at[0, at].set(first)
    rotation, outputs = decoder.rotation(jnp.asarray(positions), x.dtype), []
    for layer in [*decoder.body, decoder.last]:
        x = _layer_output(layer, x, rotation, length)
        x = x + stacked.pop(0) if stacked else x
        outputs.append(x[0, :length])
    return outputs, np.asarray(decoder.logits(x)[0, :length])


@jax.jit
def _layer_output(layer, x, rotation, length):
    query, keys, values = layer.inputs(x, rotation)
    cache = with_capacity(LayerCache(keys.swapaxes(2, 3), values), -(-x.shape[1] // 256) * 256)
    whole = Layout(length[None], jnp.int32(0), jnp.zeros(1, jnp.int32), jnp.int32(2**30))
    return layer.finish(x, causal_context(query, cache, jnp.int32(0), whole))


def run_trace(model: Model, rows: list[Prepared], keys: dict, tokens: int) -> TokenTrace:
    """Returns the NumPy trace [tokens, B] of decoding under the config keys given."""
    config = apply_overrides(RunConfig(), {**keys, "sampling.max_new_tokens": tokens})
    engine = engine_of(model)
    started = engine.start(engine.read(rows, tokens), config)
    chunks = list(engine.decode(started, config, ignore_eos=True))
    return TokenTrace(
        *(np.concatenate(parts)[:, : len(rows)] for parts in zip(*chunks, strict=True))
    )


def load_case(name: str) -> tuple[Case, dict[str, np.ndarray]]:
    """Returns a case and what transformers computed for it."""
    with np.load(GOLDENS / f"model_{name}.npz") as arrays:
        return make_case(name), dict(arrays)


def _medium(part: Video | Image) -> Medium:
    t, h, w = part.grid
    if isinstance(part, Video):
        return Medium("video", (t, h // 2, w // 2), part.second_per_grid)
    return Medium("image", (t, h // 2, w // 2))


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
