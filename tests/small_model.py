"""A tiny random model, prompts with video tokens, and one call from prompts to NumPy traces."""

import collections
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType

from vreason_jax.config import RunConfig
from vreason_jax.decoding.driver import Started, after_first_token
from vreason_jax.decoding.loop import decode_chunk
from vreason_jax.decoding.state import DecodeState, TokenTrace
from vreason_jax.engine.media import block_tokens
from vreason_jax.engine.prefixes import Prefixes
from vreason_jax.engine.rows import PromptRows
from vreason_jax.engine.start import start as start_answers
from vreason_jax.families.model import Model, abstract_model
from vreason_jax.families.registry import model_config_from_hf
from vreason_jax.model.cache import KVCache, LayerCache
from vreason_jax.model.config import ModelConfig
from vreason_jax.prompt.chat import TEXT_TOKEN, Prompt
from vreason_jax.prompt.chat import VIDEO_TOKEN as VIDEO
from vreason_jax.prompt.positions import Medium
from vreason_jax.settings import apply_overrides

VOCABULARY, WIDTH = 101, 40
VIDEO_TOKEN = 100
CAPACITY = 256  # the smallest there is

# Widths that do not divide each other, grouped heads, text epsilon unlike the vision tower's.
HF_CONFIG = {
    "model_type": "qwen2_5_vl",
    "hidden_size": WIDTH,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-3,
    "rope_theta": 10000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    "tie_word_embeddings": False,
    "video_token_id": VIDEO_TOKEN,
    "image_token_id": 99,
    "vision_config": {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 36,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    },
}


@functools.cache
def small_config() -> ModelConfig:
    return model_config_from_hf(HF_CONFIG)


@functools.cache
def small_model() -> Model:
    """Random float32 weights that hide nothing: norm weights not 1, biases not 0."""
    rng = np.random.default_rng(0)
    graph, abstract = nnx.split(abstract_model(small_config(), jnp.float32))
    leaves, structure = jax.tree.flatten_with_path(abstract)
    filled = [jnp.asarray(_weights(jax.tree_util.keystr(p), a.shape, rng)) for p, a in leaves]
    return nnx.merge(graph, jax.tree.unflatten(structure, filled))


def _weights(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(shape).astype(np.float32)
    if "norm" in name:
        return 1 + 0.3 * noise
    if "bias" in name:
        return 0.3 * noise
    if "embedding" in name:
        return noise
    # The head's logits spread by about 2, which puts the entropy near half of log V; the last
    # layer's values and output are large, so that what the video says changes the logits.
    gain = 2.0 if "head" in name or ("last" in name and "attention" in name) else 1.0
    return gain * noise * np.float32(shape[-1] ** -0.5)


@dataclasses.dataclass(frozen=True)
class Row:
    """A prompt: `before` text tokens, a video of `grid` merged tokens, `after` text tokens."""

    grid: tuple[int, int, int] | None = (3, 2, 2)
    before: int = 4
    after: int = 5
    seed: int = 1

    @property
    def tokens(self) -> int:
        return math.prod(self.grid) if self.grid else 0

    @property
    def length(self) -> int:
        return self.before + self.tokens + self.after

    @property
    def token_ids(self) -> np.ndarray:
        ids = np.random.default_rng(self.seed).integers(0, 99, self.length)
        ids[self.before : self.before + self.tokens] = VIDEO_TOKEN
        return ids

    @property
    def video(self) -> np.ndarray:
        """[tokens, D] float32, in place of the vision tower's output."""
        rng = np.random.default_rng(1000 + self.seed)
        return 1.5 * rng.standard_normal((self.tokens, WIDTH)).astype(np.float32)

    @property
    def positions(self) -> np.ndarray:
        """[3, length]: text counts on the three axes together, the video on each by itself."""
        before = np.tile(np.arange(self.before), (3, 1))
        video = np.indices(self.grid or (0, 1, 1)).reshape(3, -1) + self.before
        start = max(video.max(initial=-1), self.before - 1) + 1
        return np.concatenate([before, video, np.tile(start + np.arange(self.after), (3, 1))], 1)

    @property
    def prompt(self) -> Prompt:
        t, h, w = self.grid or (0, 0, 0)
        types = np.where(self.token_ids == VIDEO_TOKEN, VIDEO, TEXT_TOKEN)
        media = (Medium("video", (t, h, w)),) if self.grid else ()
        return Prompt(
            token_ids=self.token_ids.astype(np.int32),
            positions=self.positions.astype(np.int32),
            next_position=int(self.positions.max()) + 1,
            media=media,
            token_types=types.astype(np.int32),
            words=(self.length - self.after + 1, self.length - 1),
        )


LONG = Row()
SHORT = Row(grid=(2, 3, 1), before=2, after=9, seed=2)
TEXT = Row(grid=None, before=6, after=5, seed=3)
MESH = jax.make_mesh((1, 1), ("data", "model"), axis_types=(AxisType.Auto,) * 2)


def config_of(**changes) -> RunConfig:
    """A run config: `config_of(controller__every=2)` sets controller.every."""
    return apply_overrides(RunConfig(), {k.replace("__", "."): v for k, v in changes.items()})


def by_slot(cache, change):
    """The cache changed by a function of arrays whose third axis is the slots."""

    def one(layer):
        keys = change(layer.keys.swapaxes(2, 3)).swapaxes(2, 3)
        return LayerCache(keys=keys, values=change(layer.values))

    return KVCache(body=tuple(map(one, cache.body)), last=one(cache.last))


def read(rows: tuple[Row, ...], *, capacity: int = CAPACITY, media_gain: float = 1.0, mesh=MESH):
    """The prompts' rows, and a cache with all of them but their last tokens.

    `media_gain` 0 takes the video's content away and leaves its tokens in place.
    """
    model = small_model()
    prompts = PromptRows.of([row.prompt for row in rows])

    def encode(prepared):
        video = np.concatenate([media_gain * row.row.video for row in prepared])
        index = np.split(np.arange(len(video)), np.cumsum([row.row.tokens for row in prepared]))
        block = np.pad(video, ((0, block_tokens() - len(video)), (0, 0)))
        return [jnp.asarray(block)], index[:-1]

    counts = collections.Counter()
    prefixes = Prefixes(model.decoder, mesh, encode, counts)
    return prompts, prefixes.read([_Prepared(row) for row in rows], prompts, capacity)


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """As much of a prepared question as reading its prefix takes."""

    row: Row

    @property
    def prompt(self) -> Prompt:
        return self.row.prompt

    @property
    def prefix_name(self) -> str | None:
        return str(self.row) if self.row.grid else None


def start(rows: tuple[Row, ...], config: RunConfig, *, mesh=MESH, **reading) -> Started:
    """The answers to rows, before their first token (with pruning: after it)."""
    prompts, cache = read(rows, mesh=mesh, **reading)
    seeds = np.array([(config.sampling.seed, row.seed) for row in rows], np.uint32)
    return start_answers(small_model().decoder, cache, prompts, config, seeds, mesh)


def first_token(started: Started) -> Started:
    return after_first_token(small_model().decoder, started)


def decode(started: Started, state: DecodeState, steps: int) -> tuple[DecodeState, TokenTrace]:
    return decode_chunk(
        small_model().decoder, started.context, state, settings=started.settings, steps=steps
    )


def run(rows, config: RunConfig, *, chunks: tuple[int, ...] = (12,), **reading) -> TokenTrace:
    """The trace [1 + sum(chunks), B] of a batch, as NumPy arrays."""
    begun = start(tuple(rows), config, **reading)
    state, traces = begun.state, [begun.first] if begun.first else []
    for steps in chunks:  # the first token has no program of its own: these are what takes time
        state, trace = decode(begun, state, steps if traces else 1 + steps)
        traces.append(trace)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *traces)


def row_of(trace: TokenTrace, row: int) -> TokenTrace:
    """One row's trace, with a batch axis of one."""
    return jax.tree.map(lambda a: a[:, row : row + 1], trace)


def assert_same_run(got: TokenTrace, expected: TokenTrace, tolerance: float = 1e-4):
    """Equal ids and close floats; ids may part where both tokens are equally likely.

    What follows such a parting is another text, so it is not compared.
    """
    parted = np.flatnonzero((got.token != expected.token).any(axis=1))
    end = parted[0] if parted.size else len(got.token)
    if parted.size:
        np.testing.assert_allclose(got.logprob[end], expected.logprob[end], atol=1e-4)
    assert end > 4, "nothing left to compare"
    for name in TokenTrace._fields:
        np.testing.assert_allclose(
            getattr(got, name)[:end], getattr(expected, name)[:end],
            rtol=tolerance, atol=tolerance, err_msg=name,
        )  # fmt: skip
