"""Times the same model and clip in transformers on torch, alternating with this package."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import bench_shapes
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vreason_jax.config import ControllerConfig, RunConfig, SamplingConfig
from vreason_jax.convert.safetensors_export import write_safetensors
from vreason_jax.decoding.ladder import DECODE_CHUNK
from vreason_jax.families.model import random_model
from vreason_jax.model.config import ModelConfig
from vreason_jax.questions import Prepared
from vreason_jax.runtime.checkpoint import load_model
from vreason_jax.runtime.names import dotted, split_all

TOKENS = DECODE_CHUNK
_LARGEST_FILE = 4e9  # bytes; a larger model is made in place, on both sides, with other weights


def compare(shape: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Returns medians of both sides' prefill (vision included) and decode, and their ratios."""
    config = bench_shapes.model_config(shape)
    # transformers 5.23 places text by its own rule, which the comparison of tokens needs too.
    question = bench_shapes.synthetic_question(config, arguments.video_tokens, rule="hf5")
    with tempfile.TemporaryDirectory() as folder:
        shared = _write(shape, config, Path(folder), arguments.dtype)
        ours = Ours(config, question, Path(folder) if shared else None, arguments.dtype)
        theirs = Theirs(shape, question, Path(folder) if shared else None, arguments.dtype)
    times = {"ours": [], "theirs": []}
    sides = {"ours": ours, "theirs": theirs}
    for side in sides.values():
        side.run()
    for pair in range(max(3, arguments.pairs // 4)):
        for name in list(sides) if pair % 2 else list(sides)[::-1]:
            times[name].append(sides[name].run())
    result = {"pairs": len(times["ours"]), "same_tokens": _same(ours, theirs) if shared else None}
    for column, stage in enumerate(("prefill", "decode")):
        ours_ms, theirs_ms = (np.array(times[name])[:, column] for name in ("ours", "theirs"))
        result[f"{stage}_ms"] = float(np.median(ours_ms))
        result[f"transformers_{stage}_ms"] = float(np.median(theirs_ms))
        result[f"{stage}_speedup"] = float(np.median(theirs_ms / ours_ms))
    return result


class Ours:
    """This package; vision, prefill and one chunk of decoding."""

    def __init__(self, config: ModelConfig, question: Prepared, folder: Path | None, dtype: str):
        if folder is None:
            self._model = random_model(config, jnp.dtype(dtype))
        else:
            self._model = load_model(folder, config, dtype)
        self._question = question
        self._run = RunConfig(
            controller=ControllerConfig(objective="none"),
            sampling=SamplingConfig(max_new_tokens=TOKENS),
        )
        self.tokens: list[int] = []

    def run(self) -> tuple[float, float]:
        """Returns the milliseconds of prefill, and of decoding per token.

        The prompt's last token is read with the first step of decoding.
        """
        engine = bench_shapes.engine_of(self._model)
        begin = time.perf_counter()
        started = engine.start(engine.read([self._question], TOKENS), self._run, keep=False)
        middle = time.perf_counter()
        chunks = engine.decode(started, self._run, ignore_eos=True)
        self.tokens = [int(token) for chunk in chunks for token in chunk.token[:, 0]]
        return 1e3 * (middle - begin), 1e3 * (time.perf_counter() - middle) / TOKENS


class Theirs:
    """transformers as its documentation says: from_pretrained and generate, greedy."""

    def __init__(self, shape: str, question: Prepared, folder: Path | None, dtype: str):
        import torch

        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = self._load(shape, folder, getattr(torch, dtype)).eval()
        self._inputs = self._arguments(question, getattr(torch, dtype))
        self.tokens: list[int] = []

    def run(self) -> tuple[float, float]:
        """Returns the milliseconds of prefill, and of decoding per token."""
        prefill_seconds, _ = self._generate(1)
        seconds, self.tokens = self._generate(TOKENS)
        return 1e3 * prefill_seconds, 1e3 * (seconds - prefill_seconds) / (TOKENS - 1)

    def _generate(self, tokens: int) -> tuple[float, list[int]]:
        self._synchronise()
        begin = time.perf_counter()
        ids = self._model.generate(
            **self._inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False
        )
        self._synchronise()
        return time.perf_counter() - begin, ids[0, -tokens:].tolist()

    def _synchronise(self) -> None:
        if self._device == "cuda":
            self._torch.cuda.synchronize()

    def _load(self, shape: str, folder: Path | None, dtype):
        from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

        if folder is not None:
            return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype)
        with tempfile.TemporaryDirectory() as config_folder:
            (Path(config_folder) / "config.json").write_text(
                json.dumps(bench_shapes.hf_config(shape))
            )
            config = AutoConfig.from_pretrained(config_folder)
        default = self._torch.get_default_dtype()
        self._torch.set_default_dtype(dtype)
        with self._torch.device(self._device):
            model = Qwen2_5_VLForConditionalGeneration(config)
        self._torch.set_default_dtype(default)
        return model

    def _arguments(self, question: Prepared, dtype) -> dict:
        torch, patches = self._torch, question.media.patches[0]
        ids = torch.tensor(question.prompt.token_ids[None].astype(np.int64))
        arguments = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": torch.tensor(question.prompt.token_types[None].astype(np.int64)),
            "pixel_values_videos": torch.tensor(patches.values).to(dtype),
            "video_grid_thw": torch.tensor([patches.grid]),
            "second_per_grid_ts": torch.tensor([question.prompt.media[0].second_per_grid]),
        }
        return {name: value.to(self._device) for name, value in arguments.items()}


def _write(shape: str, config: ModelConfig, folder: Path, dtype: str) -> bool:
    """Writes a random checkpoint for both sides; returns False if it would be too large."""
    if config.text.width > 2048:
        return False
    state = nnx.to_flat_state(nnx.state(random_model(config, jnp.dtype(dtype)), nnx.Param))
    joined = {dotted(path): np.asarray(leaf[...]) for path, leaf in state}
    arrays = split_all(config, joined)
    if sum(array.nbytes for array in arrays.values()) > _LARGEST_FILE:
        return False
    write_safetensors(folder, config, arrays)
    (folder / "config.json").write_text(json.dumps(bench_shapes.hf_config(shape)))
    return True


def _same(ours: Ours, theirs: Theirs) -> int:
    """Returns the number of equal tokens before the first difference."""
    pairs = zip(ours.tokens, theirs.tokens, strict=True)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), len(ours.tokens))
