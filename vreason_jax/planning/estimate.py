"""What a model and a question take on each device, and how fast they can be at best."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh

from vreason_jax.config import ControllerConfig
from vreason_jax.controller.controller import ControllerState
from vreason_jax.decoding import ladder
from vreason_jax.decoding.state import device_bytes
from vreason_jax.engine.prefixes import clips_at_once
from vreason_jax.engine.start import controller_shapes
from vreason_jax.model.cache import KVCache
from vreason_jax.model.config import ModelConfig
from vreason_jax.planning.devices import Devices
from vreason_jax.runtime.mesh import AXES, weight_bytes
from vreason_jax.runtime.sharing import shared_config

# XLA keeps some memory for programs and loses some between buffers, and what passes is estimated.
HEADROOM = 0.05
BEFORE = 16  # tokens of the template in front of a clip
TEXT = 128  # tokens of a prompt beside its clip
PIECE, REST_PIECE = 1024, 256  # tokens that are read at a time on an accelerator
_PATCHES = 4096  # that go through the tower at a time
_SCORES = 2**25  # numbers of the tower's attention at a time


@dataclasses.dataclass(frozen=True)
class Load:
    """What is asked of the devices at once."""

    video_tokens: int  # of one question
    max_new_tokens: int
    rows: int  # answers at once on each copy of the model
    marks: int = 0  # tokens of the times within a clip
    frame_tokens: int = 0  # of one temporal patch of the clip
    kept: bool = False  # whether a batch, once read, waits for several runs, as `evaluate`'s do

    @property
    def prompt(self) -> int:
        """Tokens of a prompt."""
        return self.video_tokens + self.marks + TEXT

    @property
    def capacity(self) -> int:
        """Slots of the cache at the end of the longest answer."""
        whole = self.prompt + 1 + ladder.decode_room(self.max_new_tokens)
        return max(self.first_capacity, ladder.capacity(whole, rows=1))

    @property
    def first_capacity(self) -> int:
        """Slots of the cache that a prompt is read into."""
        # As for one row: on accelerators, which are planned for, rows change no capacity.
        return ladder.first_capacity(self.prompt, self.max_new_tokens, rows=1)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a model takes on each device under a load, in bytes, and the bounds of its speed."""

    weights: int
    cache: int
    controller: int
    activations: int
    limit: int
    tokens_per_second: float  # of all answers together, at the memory's bandwidth
    first_token_seconds: float  # at the rate of the matrix units

    @property
    def total(self) -> int:
        """Bytes on each device."""
        return self.weights + self.cache + self.controller + self.activations

    @property
    def fits(self) -> bool:
        """Whether they are within the limit."""
        return self.total <= self.limit


def estimate(config: ModelConfig, devices: Devices, sizes: dict[str, int], load: Load) -> Plan:
    """Returns the plan of a model on a mesh of `sizes` of the devices."""
    mesh = AbstractMesh(tuple(sizes[axis] for axis in AXES), AXES)
    shared, rows = shared_config(config, sizes["model"]), load.rows * sizes["data"]
    weights = weight_bytes(shared, mesh)
    cache = device_bytes(cache_shapes(shared, load, rows), mesh, rows)
    controller = device_bytes(steering_shapes(shared, load, rows), mesh, rows)
    kind = devices.kind
    step = _bytes_of_a_step(config, load, weights, cache, controller)
    return Plan(
        weights=sum(weights.values()),
        cache=cache,
        controller=controller,
        activations=_activations(shared, load, sizes, cache, controller),
        limit=int(kind.memory * (1 - HEADROOM)),
        tokens_per_second=rows * kind.bandwidth / step,
        first_token_seconds=load.rows * _operations(config, load) / (kind.rate * sizes["model"]),
    )


def cache_shapes(shared: ModelConfig, load: Load, rows: int) -> KVCache:
    """Returns the shapes of the answers' cache when it has grown to its end."""
    dtype = jnp.dtype(shared.dtype)
    return KVCache.of(jax.ShapeDtypeStruct, shared.text, rows, load.capacity, dtype)


def steering_shapes(shared: ModelConfig, load: Load, rows: int) -> ControllerState:
    """Returns the shapes of the answers' controllers."""
    text, end = shared.text, BEFORE + load.marks + load.video_tokens
    slots = min(ladder.steered(end), load.first_capacity)
    heads = text.kv_heads // text.kv_repeats
    return controller_shapes(rows, heads, slots, text.head_width, text.kv_repeats)


def _activations(
    shared: ModelConfig, load: Load, sizes: dict[str, int], cache: int, controller: int
) -> int:
    """An estimate of what passes at the worst time, beside the other entries of a plan.

    Programs hold numbers in float32, since XLA widens much of what it fuses. While it encodes, the
    tower is whole, and of caches there is the one that was read before; while answers are written,
    there are both, as what was read waits for the next question, and a third where several runs
    answer one batch. Each device has the embeddings of all clips that are read together.
    """
    text, vision, model = shared.text, shared.vision, sizes["model"]
    whole = weight_bytes(shared, AbstractMesh((1, 1), AXES)) if model > 1 else {}
    gathered = sum(size for path, size in whole.items() if path.startswith("vision."))
    patches = load.frame_tokens * shared.geometry.merge**2
    scores = max(_SCORES, vision.heads * vision.row_units * shared.geometry.merge**2 * patches)
    passing = 8 * vision.width + 3 * vision.mlp_width
    tower = max(_PATCHES, patches) * passing + 2 * scores
    inside = 3 * text.mlp_width + 4 * text.heads * text.head_width
    piece = max(PIECE, load.rows * REST_PIECE) * (6 * text.width + inside // model)
    step = load.rows * (6 * text.vocabulary + inside)
    clips = clips_at_once(load.rows * sizes["data"], load.first_capacity, sizes["data"])
    parts = clips * load.video_tokens * (1 + text.stacked)
    embeddings = parts * text.width * jnp.dtype(shared.dtype).itemsize
    read = cache * load.first_capacity // load.capacity
    encoding = gathered + 4 * tower + read - cache - controller
    waiting = cache + read * load.kept
    return max(encoding, waiting + 4 * max(piece, step)) + embeddings


def _bytes_of_a_step(
    config: ModelConfig, load: Load, weights: dict[str, int], cache: int, controller: int
) -> float:
    """What a device must read for one token of each row, V-Reason's update spread over its period.

    The weights, and the slots in use half-way through the answer; an update reads the tail of the
    network once more, and reads and writes the controller.
    """
    read = sum(n for path, n in weights.items() if path.startswith("decoder."))
    if not config.text.tied:  # of the embedding, one row
        read -= weights["decoder.embedding"]
    head = weights["decoder.embedding" if config.text.tied else "decoder.head"]
    tail = (
        n for path, n in weights.items() if re.match(r"decoder\.last\.(attention\.o|mlp)", path)
    )
    update = head + sum(tail) + 2 * controller
    used = (load.prompt + load.max_new_tokens / 2) / load.capacity
    return read + used * cache + update / ControllerConfig().every


def _operations(config: ModelConfig, load: Load) -> float:
    """Operations of products, from one question's patches to its first token.

    Of the last layer a prompt needs little; attention in the tower is left out.
    """
    text, units = config.text, config.geometry.merge**2
    heads, kv_heads = text.heads * text.head_width, text.kv_heads * text.head_width
    layer = 2 * text.width * (heads + kv_heads) + 3 * text.width * text.mlp_width
    attention = heads * load.prompt  # scores and contexts, of half of all pairs
    itemsize = np.dtype(config.dtype).itemsize
    weights = weight_bytes(config, AbstractMesh((1, 1), AXES))
    tower = sum(  # a weight for each patch of a token, or behind the blocks for the token
        size // itemsize * (units if re.match(r"vision\.(blocks|patch)", path) else 1)
        for path, size in weights.items()
        if path.startswith("vision.") and path.endswith(".weight")
    )
    return 2 * (
        load.prompt * (text.layers - 1) * (layer + attention)
        + load.video_tokens * tower
        + text.width * text.vocabulary
    )
