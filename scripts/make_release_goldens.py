"""Adds what one release of transformers saves and reads to tests/goldens/releases.json.xz.

Run it once in an environment of each release, with torch and torchvision beside it (releases
before 5 want tokenizers and huggingface_hub of their own time, which pip finds):

    pip install --target FOLDER transformers==4.49.0
    PYTHONPATH=FOLDER python scripts/make_release_goldens.py

The sources and the questions come from tests/release_cases.py; change them and every release must
be written anew. The file holds release -> case -> `files` (name -> text, as save_pretrained left
them) and `expected`, what that release's own classes say of the folder that they saved:

    config      facts of the model, by the names of config.json
    image_grids, video_grids  one (t, h, w) for each of SIZES
    image_colour, video_colour  the normalised red, green and blue of COLOUR
    prompts     the rendered prompt for each of KINDS;   prompt_ids  their ids
    tagged_ids  ids of TAGGED_TEXT, whose tags are added tokens
    eos, pad    of the generation config
"""

import json
import lzma
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "goldens" / "releases.json.xz"
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np  # noqa: E402
import transformers  # noqa: E402
from release_cases import (  # noqa: E402
    CASES,
    COLOUR,
    FRAMES,
    KINDS,
    SIZES,
    TAGGED_TEXT,
    TAGS,
    VOCABULARY_FILES,
    messages,
    write_source,
)
from transformers import AutoConfig, AutoProcessor, GenerationConfig  # noqa: E402

TEXT_FACTS = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
              "num_key_value_heads", "vocab_size", "rms_norm_eps",
              "max_position_embeddings")  # fmt: skip
VISION_FACTS = ("depth", "hidden_size", "intermediate_size", "num_heads", "out_hidden_size",
                "window_size", "fullatt_block_indexes", "tokens_per_second")  # fmt: skip


def main() -> None:
    goldens = json.loads(lzma.decompress(GOLDEN.read_bytes())) if GOLDEN.exists() else {}
    goldens[transformers.__version__] = {case: golden(case) for case in CASES}
    text = json.dumps(dict(sorted(goldens.items())), separators=(",", ":"))
    GOLDEN.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(f"{transformers.__version__}: {GOLDEN.stat().st_size} bytes in all")


def golden(case: str) -> dict:
    """Returns what this release saves of a case, and what it then reads."""
    with tempfile.TemporaryDirectory() as place:
        source, saved = Path(place) / "source", Path(place) / "saved"
        write_source(source, case)
        processor = AutoProcessor.from_pretrained(source)
        if case != "published":
            processor.tokenizer.add_tokens(list(TAGS[:2]), special_tokens=True)
            processor.tokenizer.add_tokens(list(TAGS[2:]))
        for part in (processor, AutoConfig.from_pretrained(source)):
            part.save_pretrained(saved)
        GenerationConfig.from_pretrained(source).save_pretrained(saved)
        # The published vocabulary is large and every release keeps it as it is.
        left_out = VOCABULARY_FILES if case == "published" else ()
        files = {
            str(file.relative_to(saved)): file.read_text(encoding="utf-8")
            for file in sorted(saved.rglob("*.*"))
            if file.name not in left_out
        }
        return {"files": files, "expected": expected(saved)}


def expected(saved: Path) -> dict:
    """Returns what this release's classes say of a folder."""
    processor = AutoProcessor.from_pretrained(saved)
    images = [processor.image_processor(images=[picture(*size)], return_tensors="pt")
              for size in SIZES]  # fmt: skip
    videos = [read_video(processor, np.stack([picture(*size)] * FRAMES)) for size in SIZES]
    prompts = [
        processor.apply_chat_template(messages(kinds), tokenize=False, add_generation_prompt=True)
        for kinds in KINDS
    ]
    generation = GenerationConfig.from_pretrained(saved)
    return {
        "config": config_facts(AutoConfig.from_pretrained(saved)),
        "image_grids": [np.asarray(image["image_grid_thw"])[0].tolist() for image in images],
        "video_grids": [np.asarray(video["video_grid_thw"])[0].tolist() for video in videos],
        "image_colour": colour(images[0]["pixel_values"]),
        "video_colour": colour(videos[0]["pixel_values_videos"]),
        "prompts": prompts,
        "prompt_ids": [processor.tokenizer(text)["input_ids"] for text in prompts],
        "tagged_ids": processor.tokenizer(TAGGED_TEXT)["input_ids"],
        "eos": generation.eos_token_id,
        "pad": generation.pad_token_id,
    }


def read_video(processor, frames: np.ndarray) -> dict:
    """Returns what the release makes of frames [F, h, w, 3]; before 4.52 images had the say."""
    if hasattr(processor, "video_processor"):
        return processor.video_processor(
            videos=[frames.transpose(0, 3, 1, 2)], do_sample_frames=False, return_tensors="pt"
        )
    return processor.image_processor(images=None, videos=[list(frames)], return_tensors="pt")


def picture(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.array(COLOUR, np.uint8), (height, width, 3)).copy()


def colour(patches) -> list[float]:
    """Returns the first number of each channel of the first patch."""
    return np.asarray(patches, np.float32)[0].reshape(3, -1)[:, 0].astype(float).tolist()


def config_facts(config) -> dict:
    text = getattr(config, "text_config", config)
    rope = getattr(text, "rope_parameters", None) or text.rope_scaling
    return {
        "text": {key: getattr(text, key) for key in TEXT_FACTS},
        "vision": {key: getattr(config.vision_config, key) for key in VISION_FACTS},
        "rope_theta": rope.get("rope_theta") or text.rope_theta,
        "mrope_section": rope["mrope_section"],
        "tie_word_embeddings": config.tie_word_embeddings,
        "dtype": str(getattr(config, "dtype", None) or config.torch_dtype).removeprefix("torch."),
    }


if __name__ == "__main__":
    main()
