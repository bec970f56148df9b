"""Controls: a run withholds a part of the input to test what the answers depend on."""

import dataclasses

import numpy as np

from vreason_jax.errors import check_known
from vreason_jax.evaluation.benchmarks import shapes
from vreason_jax.evaluation.benchmarks.record import Record, digest_of
from vreason_jax.evaluation.running.plan import clip_key
from vreason_jax.video.reader import Clip

NONE, BLANK, SHUFFLED, NO_LAST_VALUES = "none", "blank", "shuffled", "no_last_values"
CONTROLS = (NONE, BLANK, SHUFFLED, NO_LAST_VALUES)


def check_control(name: str) -> None:
    """Raises UserError for an unknown control."""
    check_known("--control", name, CONTROLS)


def controlled_clip(clip: Clip, record: Record, control: str) -> Clip:
    """Returns the clip of a record as a control shows it.

    `blank`: every frame in the clip's mean colour; those of `shapes` are drawn blank before they
    are read (`videos.clip_source`). `shuffled`: in a random order that depends on the clip alone,
    so that all questions about it, all methods and all runs see the same.
    """
    if control == SHUFFLED:
        return dataclasses.replace(clip, frames=clip.frames[_order(record, len(clip.frames))])
    if control == BLANK and not shapes.is_drawn(record):
        colour = np.rint(clip.frames.mean(axis=(0, 1, 2))).astype(np.uint8)
        return dataclasses.replace(clip, frames=np.tile(colour, (*clip.frames.shape[:3], 1)))
    return clip


def _order(record: Record, frames: int) -> np.ndarray:
    seed = int.from_bytes(digest_of(clip_key(record), 8), "big")
    return np.random.default_rng(seed).permutation(frames)
