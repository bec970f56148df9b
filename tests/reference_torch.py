"""What transformers' own Qwen2.5-VL computes for the cases: the source of the model goldens."""

import contextlib
from typing import Any

import numpy as np
import tiny_vocabulary
import torch
from reference_cases import Case
from transformers import Qwen2_5_VLForConditionalGeneration


def load_model(folder, dtype: torch.dtype = torch.float32) -> Any:
    """Returns transformers' generation model of a checkpoint folder, in eval mode."""
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    return model.eval().requires_grad_(False)


def model_inputs(case: Case) -> dict[str, torch.Tensor]:
    """Returns the keyword arguments of the model's forward, but for the positions."""
    inputs = {
        "input_ids": torch.from_numpy(case.token_ids).long(),
        "attention_mask": torch.from_numpy(case.attention_mask).long(),
        "mm_token_type_ids": _token_types(case.token_ids),
    }
    if case.pixel_values_videos is not None:
        inputs["pixel_values_videos"] = torch.from_numpy(case.pixel_values_videos)
        inputs["video_grid_thw"] = torch.from_numpy(case.video_grids).long()
        inputs["second_per_grid_ts"] = torch.from_numpy(case.second_per_grid)
    if case.pixel_values is not None:
        inputs["pixel_values"] = torch.from_numpy(case.pixel_values)
        inputs["image_grid_thw"] = torch.from_numpy(case.image_grids).long()
    return inputs


@torch.no_grad()
def forward(model, case: Case, rule: str, answer=(), **kwargs) -> Any:
    """Returns the model's output for prompt and answer, at explicit positions of the rule.

    `answer` is a list of ids, or an array [B, T] for a batch; it may be empty.
    """
    model.model.rope_deltas = None  # it outlives a call
    inputs = model_inputs(case)
    ids = torch.tensor(np.array(answer)).long().reshape(len(case.rows), -1)
    positions, following = (torch.from_numpy(array).long() for array in case.positions(rule))
    steps = following[None, :, None] + torch.arange(ids.shape[1])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], ids], dim=1)
    inputs["attention_mask"] = torch.cat([inputs["attention_mask"], torch.ones_like(ids)], dim=1)
    positions = torch.cat([positions, steps.expand(3, -1, -1)], dim=2)
    del inputs["mm_token_type_ids"]  # serves to find positions, which are given here
    return model(**inputs, position_ids=positions, **kwargs)


def hf_positions(model, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Returns transformers' own positions int32 [3, B, S] and the next position int32 [B]."""
    inputs = model_inputs(case)
    names = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts", "attention_mask")
    grids = {name: inputs.get(name) for name in names}
    ids, types = inputs["input_ids"], inputs["mm_token_type_ids"]
    positions, delta = model.model.get_rope_index(ids, mm_token_type_ids=types, **grids)
    following = delta.flatten() + inputs["attention_mask"].sum(-1)
    return positions.numpy().astype(np.int32), following.numpy().astype(np.int32)


@torch.no_grad()
def activations(model, case: Case) -> dict[str, np.ndarray]:
    """Returns every vision block's and every text layer's output (rule `max`), by golden key."""
    arrays: dict[str, np.ndarray] = {}
    for kind, patches, grids in (
        ("video", case.pixel_values_videos, case.video_grids),
        ("image", case.pixel_values, case.image_grids),
    ):
        if patches is not None:
            arrays.update(vision_activations(model.model.visual, patches, grids, kind))
    layers = model.model.language_model.layers
    with recorded(layers) as outputs:
        arrays["logits_max"] = forward(model, case, "max").logits.numpy()
    arrays.update({f"layer_{number}": value.numpy() for number, value in enumerate(outputs)})
    return arrays


@torch.no_grad()
def vision_activations(visual, patches: np.ndarray, grids: np.ndarray, kind: str) -> dict:
    """Returns the blocks' outputs float32 [P, D] in the order of the patches, and the merger's."""
    from transformers.vision_utils import get_vision_window_index

    config = visual.config
    windows = (config.spatial_merge_size, config.window_size, config.patch_size)
    index, bounds = get_vision_window_index(torch.from_numpy(grids).long(), *windows)
    with recorded(visual.blocks) as outputs:
        merged = visual(torch.from_numpy(patches), grid_thw=torch.from_numpy(grids).long())
    back = torch.argsort(index)
    arrays = {
        f"{kind}_block_{number}": _reorder(value, back).numpy()
        for number, value in enumerate(outputs)
    }
    arrays[f"{kind}_merged"] = merged.pooler_output.numpy()
    arrays[f"{kind}_window_index"] = index.numpy().astype(np.int32)
    arrays[f"{kind}_window_bounds"] = bounds.numpy().astype(np.int32)
    return arrays


@torch.no_grad()
def greedy(model, case: Case, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns token ids int32 [B, steps] under rule `max` and the gap of the best two logits.

    The whole prompt is computed anew for every token: nothing of a cache can be wrong.
    """
    answer = np.zeros((len(case.rows), 0), np.int64)
    gaps = []
    for _ in range(steps):
        best = forward(model, case, "max", answer=answer).logits[:, -1].topk(2, dim=-1)
        gaps.append((best.values[:, 0] - best.values[:, 1]).numpy())
        answer = np.concatenate([answer, best.indices[:, :1].numpy()], axis=1)
    return answer.astype(np.int32), np.stack(gaps, axis=1)


@contextlib.contextmanager
def recorded(modules):
    """Yields a list that a forward pass fills with the modules' outputs, in order."""
    outputs: list[torch.Tensor] = []

    def record(_module, _arguments, output):
        outputs.append(output[0] if isinstance(output, tuple) else output)

    hooks = [module.register_forward_hook(record) for module in modules]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def _reorder(value: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """Moves groups of four patches: transformers keeps them in window order inside the tower."""
    return value.reshape(len(units), 4, -1)[units].reshape(value.shape)


def _token_types(token_ids: np.ndarray) -> torch.Tensor:
    ids = tiny_vocabulary.added_token_ids()
    types = np.zeros_like(token_ids)
    types[token_ids == ids["<|image_pad|>"]] = 1
    types[token_ids == ids["<|video_pad|>"]] = 2
    return torch.from_numpy(types)
