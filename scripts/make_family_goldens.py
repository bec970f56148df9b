"""Writes tests/goldens/FAMILY_*.npz from transformers and torch (the `parity` extra).

    python scripts/make_family_goldens.py [FAMILY ...]

The checkpoints are those of tests/family_checkpoints.py, the questions those of
tests/family_cases.py. Everything goes through transformers' own processor and model, from frames to
tokens. FAMILY_CASE.npz holds, for prompts that are padded on the left:

    token_ids, attention_mask [B, S]   positions [3, B, S]   next [B]
    video_pixels, image_pixels [P, values]   video_grids, image_grids [n, 3]
    video_block_I, image_block_I [P, D]      video_merged, image_merged [tokens, E x D]
    layer_I [B, S, D]   logits [B, S, V]     tokens, gaps [B, 32] of a greedy answer

In FAMILY_video_tight.npz a video's marks give way to those of its temporal patches, as they did in
transformers 4.57 to 5.9; what follows from the ids is 5.24's. FAMILY_media.json has the frames that
the video processor chooses and their sizes, FAMILY_bfloat16.json the error of torch's own bfloat16.
embedded_INDEX.npz has the embedded Qwen3-VL's own answer to a question of `shapes`, read so too.
FAMILY_vreason.json has the method's traces of case `video`, as scripts/make_goldens.py writes them.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
GOLDENS = ROOT / "tests" / "goldens"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import family_checkpoints  # noqa: E402
import torch  # noqa: E402
from family_cases import CASES, EMBEDDED_ROWS, TOKENS, Row, ShapesRow  # noqa: E402
from make_goldens import vreason_golden, write_json  # noqa: E402
from reference_runs import FAMILY_RUNS  # noqa: E402
from reference_torch import family_prompt, load_model, recorded  # noqa: E402
from transformers import AutoProcessor  # noqa: E402
from transformers.video_utils import VideoMetadata  # noqa: E402

from vreason_jax.embedded import CHECKPOINTS  # noqa: E402

TOTALS, RATES, COUNTS = (1, 2, 3, 7, 30, 91, 500, 3000), (10.0, 23.976, 30.0), (None, 5, 8)
SIZES = ((720, 1280), (1080, 1920), (480, 640), (240, 320), (20, 300), (1000, 30))
FRAMES = (1, 2, 4, 5, 16, 64, 768)
LAST = 4  # positions of the embedded checkpoint's prompts whose logits are kept
PUBLISHED_SIZE = {"shortest_edge": 4096, "longest_edge": 25165824}


def main() -> None:
    for family in sys.argv[1:] or (*family_checkpoints.CONFIGS, "embedded"):
        if family == "embedded":
            for row in EMBEDDED_ROWS:
                save(f"embedded_{row.index}", embedded_golden(row))
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = family_checkpoints.write(Path(place), family)
            processor = AutoProcessor.from_pretrained(folder)
            model, rounded = load_model(folder), load_model(folder, torch.bfloat16)
        goldens = {name: golden(model, inputs(processor, rows)) for name, rows in CASES.items()}
        for name, arrays in goldens.items():
            save(f"{family}_{name}", arrays)
        traces = vreason_golden(model, family, family_prompt(goldens["video"]), FAMILY_RUNS[family])
        write_json(GOLDENS / f"{family}_vreason.json", traces)
        if family == "qwen3_vl":
            tight = inputs(processor, CASES["video"], tight=True)
            arrays = golden(model, tight)
            kept = ("token_ids", "attention_mask", "positions", "next", "tokens", "gaps")
            save(f"{family}_video_tight", {name: arrays[name] for name in kept})
            write_json(GOLDENS / f"{family}_media.json", media_choices(processor.video_processor))
        error = rounding(model, rounded, inputs(processor, CASES["video"]))
        write_json(GOLDENS / f"{family}_bfloat16.json", error)


def embedded_golden(row: ShapesRow) -> dict[str, np.ndarray]:
    """Returns what the embedded checkpoint of Qwen3-VL makes of a question."""
    folder = CHECKPOINTS["shapes-qwen3vl"]
    model, processor = load_model(folder), AutoProcessor.from_pretrained(folder)
    arrays = golden(model, inputs(processor, (row,), tight=True))
    arrays["logits"] = arrays["logits"][:, -LAST:]
    kept = ("token_ids", "attention_mask", "positions", "next", "logits", "tokens", "gaps")
    return {name: arrays[name] for name in kept}


def inputs(
    processor, rows: Sequence[Row | ShapesRow], *, tight: bool = False
) -> dict[str, torch.Tensor]:
    """Returns the model's inputs for a batch of user turns."""
    texts, videos, images, metadata = [], [], [], []
    for row in rows:
        content = [*({"type": kind} for kind in row.kinds), {"type": "text", "text": row.words}]
        messages = [{"role": "user", "content": content}]
        texts.append(
            processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )
        for pixels, kind in zip(row.pixels(), row.kinds, strict=True):
            if kind == "image":
                images.append(pixels)
                continue
            videos.append(pixels)
            count = len(pixels)
            metadata.append(
                VideoMetadata(
                    total_num_frames=count, fps=row.rate, frames_indices=list(range(count))
                )
            )
    if tight:
        texts = [text.replace("<|vision_start|><|video_pad|><|vision_end|>", "<|video_pad|>")
                 for text in texts]  # fmt: skip
    return dict(
        processor(
            text=texts,
            videos=videos or None,
            images=images or None,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            return_mm_token_type_ids=True,
            videos_kwargs={"video_metadata": metadata, "do_sample_frames": False},
        )
    )


def golden(model, batch: dict) -> dict[str, np.ndarray]:
    """Returns the arrays of one golden."""
    positions, delta = positions_of(model, batch)
    mask = batch["attention_mask"]
    arrays = {
        "token_ids": batch["input_ids"],
        "attention_mask": mask,
        "positions": positions,
        "next": delta.flatten() + mask.sum(-1),
    }
    for kind, pixels in (("video", "pixel_values_videos"), ("image", "pixel_values")):
        if pixels in batch:
            grids = batch[f"{kind}_grid_thw"]
            arrays |= {f"{kind}_pixels": batch[pixels], f"{kind}_grids": grids}
            arrays |= tower(model.model.visual, batch[pixels], grids, kind)
    with recorded(model.model.language_model.layers) as layers:
        arrays["logits"] = forward(model, batch).logits
    stacked = deepstack(model, batch, arrays)
    arrays |= {f"layer_{n}": out + stacked.get(n, 0) for n, out in enumerate(layers)}
    arrays["tokens"], arrays["gaps"] = greedy(model, batch)
    integers = {torch.int64: torch.int32}
    return {
        name: array.to(integers.get(array.dtype, array.dtype)).numpy()
        for name, array in arrays.items()
    }


def forward(model, batch: dict):
    model.model.rope_deltas = None  # it outlives a call
    return model(**batch)


def positions_of(model, batch: dict):
    names = ("image_grid_thw", "video_grid_thw", "attention_mask", "mm_token_type_ids")
    grids = {name: batch.get(name) for name in names}
    return model.model.get_rope_index(batch["input_ids"], **grids)


def tower(visual, pixels, grids, kind: str) -> dict:
    """Returns the blocks' outputs and the mergers', one behind the other."""
    with recorded(visual.blocks) as blocks:
        output = visual(pixels, grid_thw=grids)
    parts = [output.pooler_output, *(getattr(output, "deepstack_features", None) or [])]
    found = {f"{kind}_block_{number}": block for number, block in enumerate(blocks)}
    return {**found, f"{kind}_merged": torch.cat(parts, dim=-1)}


def deepstack(model, batch: dict, arrays: dict) -> dict:
    """Returns what is added to the output of the first layers, which a hook does not see."""
    width = model.config.text_config.hidden_size
    shape = (*batch["input_ids"].shape, width)
    added: dict = {}
    for kind in ("image", "video"):
        token = getattr(model.config, f"{kind}_token_id")
        if f"{kind}_merged" in arrays:
            for number, part in enumerate(arrays[f"{kind}_merged"].split(width, dim=-1)[1:]):
                at = batch["input_ids"] == token
                added.setdefault(number, torch.zeros(shape))[at] = part
    return added


def greedy(model, batch: dict):
    """Returns ids and the gaps of the best two logits; the whole prompt anew for every token."""
    batch = dict(batch)
    tokens, gaps = [], []
    for _ in range(TOKENS):
        best = forward(model, batch).logits[:, -1].topk(2, dim=-1)
        tokens.append(best.indices[:, 0])
        gaps.append(best.values[:, 0] - best.values[:, 1])
        for name, value in (
            ("input_ids", tokens[-1]),
            ("attention_mask", torch.ones_like(tokens[-1])),
            ("mm_token_type_ids", torch.zeros_like(tokens[-1])),
        ):
            batch[name] = torch.cat([batch[name], value[:, None].to(batch[name].dtype)], dim=1)
    return torch.stack(tokens, dim=1), torch.stack(gaps, dim=1)


def rounding(model, rounded, batch: dict) -> dict[str, float]:
    """Returns how far torch's bfloat16 logits are from float32 ones."""
    exact = forward(model, batch).logits
    error = forward(rounded, batch).logits.float() - exact
    return {"relative_l2": float(error.norm() / exact.norm())}


def media_choices(processor) -> dict[str, list]:
    """Returns the frames that the video processor chooses, and the sizes that it gives them."""
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

    chosen = []
    for total in TOTALS:
        for rate in RATES:
            for count in COUNTS:
                if count is not None and count > total:
                    continue
                facts = VideoMetadata(total_num_frames=total, fps=rate)
                how = {"fps": 2} if count is None else {"num_frames": count}
                processor.max_frames = 16
                indices = processor.sample_frames(facts, **how)
                chosen.append([total, rate, count, indices.tolist()])
    low, high = PUBLISHED_SIZE.values()
    sizes = [
        [frames, *size, *smart_resize(frames, *size, factor=32, min_pixels=low, max_pixels=high)]
        for frames in FRAMES[1:]
        for size in SIZES
    ]
    return {"frames": chosen, "sizes": sizes}


def save(name: str, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(GOLDENS / f"{name}.npz", **arrays)
    print(f"{name}: smallest gap {arrays['gaps'].min():.5f}")


if __name__ == "__main__":
    main()
