"""Sends media through the vision tower, frames of about one size together."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vreason_jax.decoding import ladder
from vreason_jax.model.config import VisionConfig
from vreason_jax.model.layers import Linear
from vreason_jax.model.vision import Frames, Merger, VisionBlock, VisionTower
from vreason_jax.model.windows import EMPTY, FramePlan, frame_plan
from vreason_jax.questions import Prepared
from vreason_jax.runtime.compilation import CompileClock
from vreason_jax.video.patches import Patches

_PARTS = VisionBlock, Merger, Linear  # of a tower, that are gathered at a time


class Encoded(NamedTuple):
    """The embeddings of media, in blocks of one length, and where each medium's tokens are."""

    blocks: list[jax.Array]  # [block_tokens(), E x D] each
    index: list[np.ndarray]  # int [tokens] per medium, in prompt order: rows of all blocks together
    patches: int  # that were encoded
    slots: int  # that were computed, empty ones included


class _Frame(NamedTuple):
    """One temporal patch of a medium."""

    medium: int
    time: int


def patches_at_once() -> int:
    """Returns the patches of a call: few on a CPU, where what is left empty costs most."""
    return 1024 if jax.default_backend() == "cpu" else 4096


def block_tokens() -> int:
    """Returns how many tokens a block of embeddings holds."""
    return patches_at_once() // 4


def encode_prompts(
    tower: VisionTower,
    mesh: Mesh,
    clock: CompileClock,
    counts: dict[str, int],
    prompts: Sequence[Prepared],
) -> tuple[list[jax.Array], list[np.ndarray]]:
    """Returns the blocks of the prompts' media, and each prompt's index of its media tokens."""
    media = [patches for prompt in prompts for patches in prompt.media.patches]
    with clock.stage("vision"):
        encoded = encode_media(tower, media, mesh)
        jax.block_until_ready(encoded.blocks)
    counts["vision"] += len(prompts)
    counts["vision_patches"] += encoded.patches
    counts["vision_slots"] += encoded.slots
    own, found = iter(encoded.index), []
    for prompt in prompts:
        parts = [next(own) for _ in prompt.media.patches]
        found.append(np.concatenate([np.zeros(0, np.int64), *parts]))
    return encoded.blocks, found


def encode_media(vision: VisionTower, media: Sequence[Patches], mesh: Mesh) -> Encoded:
    """Returns the embeddings of videos and images."""
    config, block = vision.config, block_tokens()
    if media and mesh.shape.get("model", 1) > 1:
        vision = whole_tower(vision, mesh)
    blocks: list[jax.Array] = []
    index = [np.zeros(config.geometry.tokens(m.grid), np.int64) for m in media]
    slots = 0
    for frames, count in calls(media, config):
        plans = [frame_plan(*media[frame.medium].grid[1:], config) for frame in frames]
        arrays, tokens = _laid_out(media, frames, plans, count, config)
        first, room = len(blocks) * block, -(-tokens // block)
        arrays = arrays.replace(
            slot_of_token=np.pad(arrays.slot_of_token, (0, room * block - tokens))
        )
        for frame, plan in zip(frames, plans, strict=True):
            size = len(plan.slot_of_unit)
            at = slice(frame.time * size, (frame.time + 1) * size)
            index[frame.medium][at] = first + np.arange(size)
            first += size
        blocks += encode_frames(vision, _placed(arrays, mesh), blocks=room, mesh=mesh)
        slots += arrays.window.size
    return Encoded(blocks, index, sum(len(m.values) for m in media), slots)


def calls(media: Sequence[Patches], config: VisionConfig) -> Iterator[tuple[list[_Frame], int]]:
    """Yields the temporal patches that go through the tower together, and the places of the call.

    They have as many rows (`windows.rung`). Two numbers of places are used: a call's room, and a
    quarter of it for what is left.
    """
    by_rows: dict[int, list[_Frame]] = {}
    for number, medium in enumerate(media):
        rows = len(frame_plan(*medium.grid[1:], config).window)
        frames = [_Frame(number, time) for time in range(medium.grid[0])]
        by_rows.setdefault(rows, []).extend(frames)
    for rows, frames in by_rows.items():
        most, few = places(rows, config)
        while frames:
            count = most if len(frames) > most - few else few
            yield frames[:count], count
            frames = frames[count:]


def places(rows: int, config: VisionConfig) -> tuple[int, int]:
    """Returns the two numbers of temporal patches of `rows` rows that a call takes."""
    slots = rows * config.row_units * config.geometry.merge**2
    most = max(1, patches_at_once() // slots)
    most = ladder.power_of_two(most + 1) // 2
    return most, max(1, most // 4)


def whole_tower(vision: VisionTower, mesh: Mesh) -> VisionTower:
    """Returns the tower on each device, of which devices keep parts while nothing is encoded.

    So its programs need no word from other devices, and those of the decoder have the memory.
    """
    # Block by block: of a whole tower XLA would first gather all into one buffer.
    gathered = functools.partial(_gathered, mesh=mesh)
    return jax.tree.map(gathered, vision, is_leaf=lambda part: isinstance(part, _PARTS))


@functools.partial(jax.jit, static_argnames="mesh")
def _gathered(part, *, mesh: Mesh):
    return lax.with_sharding_constraint(part, NamedSharding(mesh, PartitionSpec()))


@functools.partial(jax.jit, static_argnames=("blocks", "mesh"))
def encode_frames(
    vision: VisionTower, frames: Frames, *, blocks: int, mesh: Mesh
) -> tuple[jax.Array, ...]:
    """Returns the tokens' embeddings [N, E x D] in `blocks` equal parts, whole on every device."""
    tokens = vision(frames)
    tokens = lax.with_sharding_constraint(tokens, NamedSharding(mesh, PartitionSpec()))
    return tuple(tokens.reshape(blocks, -1, tokens.shape[-1]))


def _laid_out(
    media: Sequence[Patches],
    frames: Sequence[_Frame],
    plans: Sequence[FramePlan],
    count: int,
    config: VisionConfig,
) -> tuple[Frames, int]:
    """The arrays of a call with `count` places, and the number of tokens that it gives."""
    rows, slots = plans[0].window.shape
    per_unit = config.geometry.merge**2
    units = rows * slots // per_unit
    values = media[frames[0].medium].values
    pixels = np.zeros((count, units, per_unit * values.shape[1]), values.dtype)
    mean, deviation = np.ones((2, count, 3), np.float32)
    window = np.full((count, rows, slots), EMPTY, np.int32)
    row, column = np.zeros((2, count, rows, slots), np.int32)
    size = np.ones((count, 2), np.int32)
    tokens = []
    for place, (frame, plan) in enumerate(zip(frames, plans, strict=True)):
        medium = media[frame.medium]
        own = medium.values.reshape(medium.grid[0], -1, pixels.shape[-1])[frame.time]
        pixels[place] = own[plan.unit_of_slot]
        mean[place], deviation[place] = medium.scales()
        window[place], row[place], column[place] = plan.window, plan.row, plan.column
        size[place] = medium.grid[1:]
        tokens.append(place * units + plan.slot_of_unit)
    pixels = pixels.reshape(count, rows, slots, -1)
    joined = np.concatenate(tokens).astype(np.int32)
    return Frames(pixels, mean, deviation, window, row, column, size, joined), len(joined)


def _placed(frames: Frames, mesh: Mesh) -> Frames:
    """The call's arrays, its places cut over all devices where they divide."""
    devices = mesh.devices.size
    whole = NamedSharding(mesh, PartitionSpec())
    divides = devices > 1 and frames.pixels.shape[0] % devices == 0
    cut = NamedSharding(mesh, PartitionSpec(mesh.axis_names)) if divides else whole

    def put(array, sharding):
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    tokens = put(frames.slot_of_token, whole)
    placed = jax.tree.map(lambda a: put(a, cut), frames.replace(slot_of_token=None))
    return placed.replace(slot_of_token=tokens)
