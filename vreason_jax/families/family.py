"""What a family of models is to the rest of the program: one record."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from vreason_jax.families.sizes import ModelSizes, Surroundings
from vreason_jax.model.config import ModelConfig
from vreason_jax.model.decoder import Decoder
from vreason_jax.model.tensors import Row
from vreason_jax.prompt.chat import COMMON_FORM, PromptForm
from vreason_jax.video.preprocessing import MediaForm


@dataclasses.dataclass(frozen=True)
class Family:
    """How its checkpoints are read, built, shown media, and prompted.

    Its geometry and its rule for positions in time are facts of the ModelConfig that `read`
    returns, as checkpoints of one family may differ in them.
    """

    name: str  # model_type in config.json
    read: Callable[[dict[str, Any]], ModelConfig]  # parsed config.json; raises UserError
    tower: Callable[..., Any]  # of (VisionConfig, dtype); it takes model.vision.Frames
    tensors: tuple[Row, ...]  # a row for each kind of parameter
    media: MediaForm = dataclasses.field(default_factory=MediaForm)
    prompt: PromptForm = COMMON_FORM
    decoder: Callable[..., Any] = Decoder  # of (TextConfig, dtype)
    # transformers' classes, as files of checkpoints name them.
    classes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # What of config.json is its own, for a small model to train; None where none is trained.
    small: Callable[[ModelSizes, Surroundings], dict[str, Any]] | None = None
    # Published models by the names that `plan` takes: values of their config.json files.
    published: Mapping[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
