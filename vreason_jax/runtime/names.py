"""One table of names: a model parameter's path <-> its tensor in Hugging Face files.

Loading, conversion and export all use `expected_tensors`, so that they cannot disagree.
"""

import dataclasses
import math
import re

from flax import nnx

from vreason_jax.model.config import ModelConfig
from vreason_jax.model.qwen25_vl import Qwen25VL, abstract_model

# Parameter path -> tensor name as the Hub's files have it. `decoder.layers.i` stands for body and
# last alike. Each path matches exactly one row.
_ROWS = (
    (r"decoder\.embedding", "model.embed_tokens.weight"),
    (r"decoder\.head", "lm_head.weight"),
    (r"decoder\.norm\.weight", "model.norm.weight"),
    (r"decoder\.layers\.(\d+)\.input_norm\.weight", r"model.layers.\1.input_layernorm.weight"),
    (
        r"decoder\.layers\.(\d+)\.post_norm\.weight",
        r"model.layers.\1.post_attention_layernorm.weight",
    ),
    (
        r"decoder\.layers\.(\d+)\.attention\.([qkvo])\.(weight|bias)",
        r"model.layers.\1.self_attn.\2_proj.\3",
    ),
    (r"decoder\.layers\.(\d+)\.mlp\.(gate|up|down)\.weight", r"model.layers.\1.mlp.\2_proj.weight"),
    (r"vision\.patch_embed\.weight", "visual.patch_embed.proj.weight"),
    (r"vision\.blocks\.(\d+)\.(norm[12])\.weight", r"visual.blocks.\1.\2.weight"),
    (r"vision\.blocks\.(\d+)\.(qkv|proj)\.(weight|bias)", r"visual.blocks.\1.attn.\2.\3"),
    (
        r"vision\.blocks\.(\d+)\.mlp\.(gate|up|down)\.(weight|bias)",
        r"visual.blocks.\1.mlp.\2_proj.\3",
    ),
    (r"vision\.merger\.norm\.weight", "visual.merger.ln_q.weight"),
    (r"vision\.merger\.fc1\.(weight|bias)", r"visual.merger.mlp.0.\1"),
    (r"vision\.merger\.fc2\.(weight|bias)", r"visual.merger.mlp.2.\1"),
)
_IGNORED = re.compile(r"rotary_emb\.inv_freq$")  # buffers that old releases saved
EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
HEAD_PATH = "decoder.head"


@dataclasses.dataclass(frozen=True)
class ExpectedTensor:
    """One parameter: where it lies in the model and how the files hold it."""

    path: str  # dotted path in the model's state, "decoder.body.0.mlp.up.weight"
    name: str  # in the Hub's naming
    shape: tuple[int, ...]  # in the model
    stored_shape: tuple[int, ...]  # in HF files: the patch embedding is a 3-D convolution there


def expected_tensors(config: ModelConfig) -> dict[str, ExpectedTensor]:
    """Returns every tensor a checkpoint of `config` consists of, by its name on the Hub."""
    shapes = parameter_shapes(abstract_model(config, "float32"))
    expected = {}
    for path, shape in shapes.items():
        name = hub_name(path, config.text.layers)
        expected[name] = ExpectedTensor(path, name, shape, _stored_shape(path, shape, config))
    return expected


def parameter_shapes(model: Qwen25VL) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter of a (possibly abstract) model, by dotted path."""
    flat = nnx.to_flat_state(nnx.state(model))
    return {dotted(path): tuple(leaf.shape) for path, leaf in flat}


def dotted(path: tuple) -> str:
    """Returns ("decoder", "body", 0, ...) as "decoder.body.0..."."""
    return ".".join(map(str, path))


def hub_name(path: str, layers: int) -> str:
    """Returns the Hub's tensor name of a parameter path; `layers` is the decoder's depth."""
    uniform = path.replace("decoder.last.", f"decoder.body.{layers - 1}.")
    uniform = uniform.replace("decoder.body.", "decoder.layers.")
    names = [re.sub(row, name, uniform) for row, name in _ROWS if re.fullmatch(row, uniform)]
    if len(names) != 1:
        raise ValueError(f"{path}: expected one row of the name table, {len(names)} match")
    return names[0]


def canonical_name(name: str) -> str | None:
    """Returns a file's tensor name in the Hub's naming, or None for a buffer to ignore.

    The three schemes: the Hub's (`model.layers`, `visual`), transformers 5's own
    (`model.language_model.layers`, `model.visual`) and base-model saves (`language_model.layers`).
    """
    if _IGNORED.search(name):
        return None
    rest = name.removeprefix("model.")
    if rest.startswith(("visual.", "lm_head.")):
        return rest
    return "model." + rest.removeprefix("language_model.")


def _stored_shape(path: str, shape: tuple[int, ...], config: ModelConfig) -> tuple[int, ...]:
    if path != "vision.patch_embed.weight":
        return shape
    vision = config.vision
    side = vision.patch_pixels
    stored = (shape[0], vision.channels, vision.temporal_patch, side, side)
    assert math.prod(stored) == math.prod(shape)
    return stored
