"""What transformers' own models compute for prompts: the source of the model goldens."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tiny_vocabulary
import torch
from reference_cases import Case, words
from transformers import AutoModelForImageTextToText

# The last of each: of a prompt whose words stand between its media and the assistant's turn.
_AROUND_WORDS = ("<|vision_end|>", "<|im_end|>")


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One prompt as a model of transformers is given it, and what stands where in it.

    inputs: the arguments of the model's forward, among them position_ids [3, 1, S].
    next_position: int [1], of the first answer token. video: bool [S], the video tokens.
    patches: int [M], the running number of each video token's temporal patch. words: where the
    user's words begin and end.
    """

    inputs: dict[str, torch.Tensor]
    next_position: torch.Tensor
    video: np.ndarray
    patches: np.ndarray
    words: tuple[int, int]


def load_model(folder, dtype: torch.dtype = torch.float32) -> Any:
    """Returns transformers' generation model of a checkpoint folder, in eval mode.

    Stops where its tensors are not those of the files.
    """
    model, info = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=dtype, output_loading_info=True
    )
    wrong = {key: names for key, names in info.items() if names}
    if wrong:
        raise SystemExit(f"{folder}: {wrong}")
    return model.eval().requires_grad_(False)


def case_prompt(case: Case) -> Prompt:
    """Returns the one prompt of a case, at the positions of rule `max`."""
    if len(case.rows) != 1:
        raise ValueError(f"{case.name}: expected one prompt, got {len(case.rows)}")
    inputs, following = _placed_inputs(case, "max")
    spoken = words(case.rows[0], case.token_ids.shape[1])
    return _prompt(inputs, following, case.video_grids, spoken)


def family_prompt(golden: Mapping[str, np.ndarray]) -> Prompt:
    """Returns the one prompt, without images, of a golden of scripts/make_family_goldens.py."""
    (token_ids,) = golden["token_ids"]
    inputs = {
        "input_ids": torch.from_numpy(golden["token_ids"]).long(),
        "attention_mask": torch.from_numpy(golden["attention_mask"]).long(),
        "position_ids": torch.from_numpy(golden["positions"]).long(),
        "pixel_values_videos": torch.from_numpy(golden["video_pixels"]),
        "video_grid_thw": torch.from_numpy(golden["video_grids"]).long(),
    }
    ids = tiny_vocabulary.added_token_ids()
    before, end = (np.flatnonzero(token_ids == ids[mark])[-1] for mark in _AROUND_WORDS)
    following = torch.from_numpy(golden["next"]).long()
    return _prompt(inputs, following, golden["video_grids"], (int(before) + 1, int(end)))


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
    return answered(model, *_placed_inputs(case, rule), answer, **kwargs)


@torch.no_grad()
def answered(model, inputs: dict, following: torch.Tensor, answer=(), **kwargs) -> Any:
    """Returns the model's output for prompts with position_ids [3, B, S] and their answers.

    `following` int [B] is the position of an answer's first token; `answer` is that of `forward`.
    """
    model.model.rope_deltas = None  # it outlives a call
    ids = torch.tensor(np.array(answer)).long().reshape(len(following), -1)
    steps = following[None, :, None] + torch.arange(ids.shape[1])
    added = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "position_ids": steps.expand(3, -1, -1),
    }
    longer = {name: torch.cat([inputs[name], more], dim=-1) for name, more in added.items()}
    return model(**inputs | longer, **kwargs)


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


def _placed_inputs(case: Case, rule: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The model's inputs at the positions of a rule, and the next position of each row."""
    positions, following = (torch.from_numpy(array).long() for array in case.positions(rule))
    inputs = model_inputs(case)
    del inputs["mm_token_type_ids"]  # serves to find positions, which are given here
    return inputs | {"position_ids": positions}, following


def _prompt(inputs: dict, following, grids: np.ndarray, spoken: tuple[int, int]) -> Prompt:
    pad = tiny_vocabulary.added_token_ids()["<|video_pad|>"]
    sizes = [height * width // 4 for frames, height, width in grids for _ in range(frames)]
    patches = np.repeat(np.arange(len(sizes)), sizes)
    return Prompt(inputs, following, inputs["input_ids"][0].numpy() == pad, patches, spoken)


def _reorder(value: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """Moves groups of four patches: transformers keeps them in window order inside the tower."""
    return value.reshape(len(units), 4, -1)[units].reshape(value.shape)


def _token_types(token_ids: np.ndarray) -> torch.Tensor:
    ids = tiny_vocabulary.added_token_ids()
    types = np.zeros_like(token_ids)
    types[token_ids == ids["<|image_pad|>"]] = 1
    types[token_ids == ids["<|video_pad|>"]] = 2
    return torch.from_numpy(types)
