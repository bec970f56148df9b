"""Prompts of unequal length as one left-padded batch."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from vreason_jax.prompt.chat import IMAGE_TOKEN, VIDEO_TOKEN, Prompt


@dataclasses.dataclass(frozen=True)
class PromptBatch:
    """Left-padded prompts; row b's real tokens are those from `starts[b]` on.

    Slots index the S axis, hence the cache after prefill; they ascend, and rows with fewer of
    them end in zeros that the mask excludes.
    """

    token_ids: np.ndarray  # int32 [B, S]
    positions: np.ndarray  # int32 [3, B, S], 0 at padding
    starts: np.ndarray  # int32 [B], padding tokens of each row
    next_positions: np.ndarray  # int32 [B], position of the first generated token
    video_slots: np.ndarray  # int32 [B, M], video tokens alone: what the controller steers
    video_mask: np.ndarray  # bool [B, M]
    media_slots: np.ndarray  # int32 [B, A], video and image tokens in prompt order
    media_mask: np.ndarray  # bool [B, A]


def batch_prompts(
    prompts: Sequence[Prompt], pad_id: int, *, length: int | None = None
) -> PromptBatch:
    """Returns the prompts padded on the left with `pad_id` to the longest, or to `length` tokens.

    M and A are the largest counts among the rows, 0 where no row has any. Raises ValueError for
    no prompts and for a `length` that is too short.
    """
    longest = max(len(prompt.token_ids) for prompt in prompts)
    size = longest if length is None else length
    if size < longest:
        raise ValueError(f"batch_prompts: a prompt of {longest} tokens exceeds length {size}")
    starts = np.array([size - len(prompt.token_ids) for prompt in prompts], np.int32)
    types = np.stack([_left_pad(prompt.token_types, size, 0) for prompt in prompts])
    video_slots, video_mask = _slots(types == VIDEO_TOKEN)
    media_slots, media_mask = _slots((types == VIDEO_TOKEN) | (types == IMAGE_TOKEN))
    return PromptBatch(
        token_ids=np.stack([_left_pad(prompt.token_ids, size, pad_id) for prompt in prompts]),
        positions=np.stack([_left_pad(prompt.positions, size, 0) for prompt in prompts], axis=1),
        starts=starts,
        next_positions=np.array([prompt.next_position for prompt in prompts], np.int32),
        video_slots=video_slots,
        video_mask=video_mask,
        media_slots=media_slots,
        media_mask=media_mask,
    )


def _left_pad(values: np.ndarray, size: int, fill: int) -> np.ndarray:
    widths = [(0, 0)] * (values.ndim - 1) + [(size - values.shape[-1], 0)]
    return np.pad(values, widths, constant_values=fill).astype(np.int32)


def _slots(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns a mask [B, S] into ascending indices [B, M], zero-padded, and their mask."""
    counts = chosen.sum(axis=1)
    mask = np.arange(counts.max()) < counts[:, None]
    slots = np.zeros(mask.shape, np.int32)
    slots[mask] = np.nonzero(chosen)[1]
    return slots, mask
