"""The goldens' questions to families beside the first, as this package's own records."""

from pathlib import Path

import numpy as np
from family_cases import CASES, RATE
from golden_cases import GOLDENS
from PIL import Image

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.config import RunConfig
from vreason_jax.families.model import Model
from vreason_jax.families.registry import read_model_config
from vreason_jax.questions import ImageFile, Prepared, Question, VideoArray
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.settings import apply_overrides

AS_TRANSFORMERS = {"video.sizing": "clip", "prompt.video_wrapper": "wrapped"}
KEYS = {"qwen3_vl": AS_TRANSFORMERS, "qwen2_vl": {"model.position_rule": "hf5"}}


def load(folder: Path, dtype: str = "float32") -> Model:
    """Returns the model of a checkpoint of tests/family_checkpoints.py."""
    return load_model(folder, read_model_config(folder), dtype)


def prepared(folder: Path, case: str, place: Path, rate: float = RATE, **keys) -> list[Prepared]:
    """Returns a case's questions, prepared under config keys; images are written to `place`."""
    return asked(folder, CASES[case], place, rate, **keys)


def asked(folder: Path, rows, place: Path, rate: float = RATE, **keys) -> list[Prepared]:
    """Returns such rows of tests/family_cases.py, prepared."""
    checkpoint, run = Checkpoint.open(folder), apply_overrides(RunConfig(), keys)
    found = []
    for row in rows:
        sources = []
        for number, (pixels, kind) in enumerate(zip(row.pixels(), row.kinds, strict=True)):
            if kind == "image":
                Image.fromarray(pixels).save(place / f"{number}.png")
                sources.append(ImageFile(str(place / f"{number}.png")))
            else:
                sources.append(VideoArray(pixels, rate))
        found.append(checkpoint.prepare(Question(tuple(sources), row.words), run))
    return found


def golden_of(family: str, case: str) -> dict[str, np.ndarray]:
    """Returns what transformers computed of a case."""
    with np.load(GOLDENS / f"{family}_{case}.npz") as arrays:
        return dict(arrays)
