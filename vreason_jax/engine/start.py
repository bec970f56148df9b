"""From prompts that have been read to the state that answers begin with."""

import dataclasses
import functools

import jax
import numpy as np
from jax.sharding import Mesh

from vreason_jax.config import RunConfig, placement_tokens
from vreason_jax.controller import controller as control
from vreason_jax.controller import prune
from vreason_jax.controller.numbers import ControllerNumbers
from vreason_jax.decoding import ladder
from vreason_jax.decoding.driver import Started, after_first_token
from vreason_jax.decoding.placement import Target
from vreason_jax.decoding.placements import Nowhere
from vreason_jax.decoding.pruning import prune_cache, without_video_values
from vreason_jax.decoding.sampling import SamplingNumbers
from vreason_jax.decoding.state import (
    DecodeContext,
    DecodeSettings,
    DecodeState,
    place,
    to_host,
)
from vreason_jax.engine.rows import PromptRows
from vreason_jax.model.attention import Layout
from vreason_jax.model.cache import KVCache
from vreason_jax.model.decoder import Decoder


def start(
    decoder: Decoder,
    cache: KVCache,
    rows: PromptRows,
    run: RunConfig,
    seeds: np.ndarray,
    mesh: Mesh,
    *,
    hide_video: bool = False,
) -> Started:
    """Returns the answers of `rows` at their beginning under `run`. The cache is used up.

    Args:
      seeds: [B, 2] uint32, (seed, hash of the question).
      hide_video: sets the last layer's values of the video to 0 after the first token.
    """
    marked = rows.marked(placement_tokens(run.controller.placement), cache.capacity)
    layers, steered = decoder.config.layers, bool(marked.any())
    settings = DecodeSettings.of(run, mesh, layers=layers, steered=steered)
    context = DecodeContext(
        layout=rows.layout(),
        last_position=np.array([prompt.positions[0, -1] for prompt in rows.prompts], np.int32),
        next_position=np.array([prompt.next_position for prompt in rows.prompts], np.int32),
        seeds=seeds,
        steered=marked.any(axis=1),
        target=Target(_of_heads(marked, decoder)),
        numbers=ControllerNumbers.of(run.controller),
        sampling=SamplingNumbers.of(run.sampling),
    )
    token = np.array([prompt.token_ids[-1] for prompt in rows.prompts], np.int32)
    seen = rows.seen(decoder.config.vocabulary)
    token, seen = place((token, seen), mesh, len(seeds))
    slot = rows.answer_start
    if not (hide_video or run.prune.fraction):
        return _begun(decoder, context, cache, token, seen, settings, slot=slot, step=0)
    # The first token is drawn from what the whole prompt says: the change comes after it.
    plain = dataclasses.replace(settings, placement=Nowhere())
    begun = _begun(decoder, context, cache, token, seen, plain, slot=slot, step=0)
    begun = after_first_token(decoder, begun)
    state, first, slot = begun.state, begun.first, begun.slot
    cache, video = state.cache, _of_heads(rows.marked("video", state.cache.capacity), decoder)
    if run.prune.fraction:
        context, cache, video, slot = _pruned(decoder, context, cache, rows, marked, run, mesh)
    if hide_video:
        cache = without_video_values(cache, place(video, mesh, len(seeds)))
    begun = _begun(decoder, context, cache, state.token, state.seen, settings, slot=slot, step=1)
    begun.first = first
    ema, peak = state.controller.ema, state.controller.peak
    begun.state = begun.state.replace(controller=begun.state.controller.replace(ema=ema, peak=peak))
    return begun


def _begun(
    decoder: Decoder, context, cache, token, seen, settings: DecodeSettings, *, slot: int, step: int
):
    """Answers with deltas of 0."""
    rows, placement = len(context.steered), settings.placement
    target = placement.target(context.target.mask, slot + 1 - step)
    shapes = controller_shapes(rows, *placement.sizes(target, decoder.config))
    controllers = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes)
    controllers = controllers.replace(peak=np.full(rows, -np.inf, np.float32))
    context, controllers, at, number = place(
        (context.replace(target=target), controllers, np.int32(slot), np.int32(step)),
        settings.mesh,
        rows,
    )
    state = DecodeState(cache, controllers, token, at, number, seen)
    return Started(context, state, settings, slot)


def _of_heads(marked: np.ndarray, decoder: Decoder) -> np.ndarray:
    """Slots [B, S] as those of each head [B, K, S], heads that lie in the cache twice once."""
    heads = decoder.config.kv_heads // decoder.config.kv_repeats
    return np.repeat(marked[:, None], heads, axis=1)


@functools.cache
def controller_shapes(
    rows: int, heads: int, slots: int, width: int, repeats: int
) -> control.ControllerState:
    """Returns the shapes of the controllers of `rows` answers; see `controller.init`."""
    one = jax.eval_shape(lambda: control.init(heads, slots, width, repeats))
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((rows, *a.shape), a.dtype), one)


def _pruned(decoder, context, cache, rows: PromptRows, marked: np.ndarray, run, mesh: Mesh):
    """The context, the cache and its video slots, less what is dropped; the slot to go on at."""
    frames = rows.frame_of_slot(cache.capacity)
    plan, dropped = prune.plan_drops(frames, run.prune)
    real = rows.real(cache.capacity)
    kept = (real.sum(axis=1) - dropped).astype(np.int32)
    slot, marks = int(kept.max()), (marked, frames != prune.NO_VIDEO)
    tokens = run.sampling.max_new_tokens
    cache, moved = prune_cache(
        cache,
        *place((real, kept, marks, plan, context.seeds), mesh, len(kept)),
        policy=run.prune.policy,
        capacity=ladder.pruned_capacity(cache.capacity, slot, tokens, len(kept)),
        repeats=decoder.config.kv_repeats,
        mesh=mesh,
    )
    layout = Layout(
        shared_end=kept,
        rest_start=np.array(0, np.int32),
        rest_end=np.zeros_like(kept),
        answer_start=np.array(slot, np.int32),
    )
    steered, video = to_host(moved)
    return context.replace(layout=layout, target=Target(steered)), cache, video, slot
