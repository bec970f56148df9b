"""Shapes for benchmarks: model sizes, and a prompt with a given number of video tokens."""

from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from vreason_jax.checkpoint import Checkpoint
from vreason_jax.engine.engine import Engine
from vreason_jax.families.model import Model
from vreason_jax.families.qwen25_vl.published import SIZES, hf_values, published_values
from vreason_jax.families.registry import model_config_from_hf, published_config, published_names
from vreason_jax.model.config import ModelConfig
from vreason_jax.prompt.chat import TEXT_TOKEN, VIDEO_TOKEN, Prompt
from vreason_jax.prompt.positions import Medium, next_position, prompt_positions
from vreason_jax.questions import Media, Prepared, Question
from vreason_jax.video.patches import Patches

# Two that are no published models.
_SMALL = {
    "tiny": ((64, 128, 3, 4, 2, 512, False), {"depth": 2, "hidden_size": 64,
             "intermediate_size": 128, "num_heads": 4, "fullatt_block_indexes": [1]}),
    "0.25b": ((1024, 4096, 12, 8, 2, 32_000, False), {"depth": 8, "hidden_size": 320,
              "intermediate_size": 856, "num_heads": 4, "fullatt_block_indexes": [3, 7]}),
}  # fmt: skip
SHAPES = (*_SMALL, *SIZES)  # that benchmarks know how to ask
MODELS = (*_SMALL, *published_names())

# (t, h, w) in patches; a temporal patch of 32 x 32 patches is 256 tokens.
_GRIDS = {96: (2, 12, 16), 768: (8, 16, 24), 4096: (16, 32, 32), 6144: (24, 32, 32)}
VIDEO_TOKENS = tuple(_GRIDS)
TEXT_TOKENS = 64


def hf_config(shape: str) -> dict:
    """Returns config.json values of a named shape."""
    return hf_values(*_SMALL[shape]) if shape in _SMALL else published_values(shape)


def model_config(shape: str) -> ModelConfig:
    """Returns the ModelConfig of a named shape, or of any published model."""
    return model_config_from_hf(hf_config(shape)) if shape in _SMALL else published_config(shape)


def synthetic_question(config: ModelConfig, video_tokens: int, rule: str = "max") -> Prepared:
    """Returns a prompt of random words and a random clip of `video_tokens` (of VIDEO_TOKENS)."""
    rng = np.random.default_rng(0)
    grid = _GRIDS[video_tokens]
    medium = Medium("video", config.geometry.token_grid(grid), second_per_grid=1.0)
    before, after = TEXT_TOKENS // 4, TEXT_TOKENS - TEXT_TOKENS // 4
    words = rng.integers(0, config.text.vocabulary - 8, TEXT_TOKENS)
    last = config.text.vocabulary - 1  # as hf_values has it: start, end, image and video come last
    words[before - 1], words[before] = last - 3, last - 2
    video = np.full(video_tokens, last)
    positions = prompt_positions(
        [before, medium, after], rule=rule, tokens_per_second=config.tokens_per_second
    )
    prompt = Prompt(
        token_ids=np.concatenate([words[:before], video, words[before:]]).astype(np.int32),
        positions=positions,
        next_position=next_position(positions),
        media=(medium,),
        token_types=np.repeat(
            [TEXT_TOKEN, VIDEO_TOKEN, TEXT_TOKEN], [before, video_tokens, after]
        ).astype(np.int32),
    )
    values = rng.standard_normal((int(np.prod(grid)), config.geometry.patch_values), np.float32)
    return Prepared(Question((), "bench"), Media((), (Patches(values, grid),)), prompt)


def engine_of(model: Model, mesh: Mesh | None = None) -> Engine:
    """Returns an engine of a model alone, without the files of a checkpoint: answers stay ids."""
    checkpoint = Checkpoint(Path(), model.config, None, None)  # type: ignore[arg-type]
    one = np.array(jax.devices()[:1]).reshape(1, 1)
    return Engine(
        checkpoint, model, mesh or Mesh(one, ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    )
