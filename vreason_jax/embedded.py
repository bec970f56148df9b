"""What the package carries so that it runs without a download: a clip, its question, models."""

import json
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
CLIP = ASSETS / "clip.mp4"
CHECKPOINTS = ASSETS / "checkpoints"  # by name, trained on `shapes`; each README.md is a model card
CHECKPOINT = CHECKPOINTS / "shapes"  # where no other is asked for


def names() -> list[str]:
    """Returns the names of the checkpoints."""
    return sorted(folder.name for folder in CHECKPOINTS.iterdir())


def embedded_question() -> str:
    """Returns the question about the embedded clip, with its options."""
    return json.loads((ASSETS / "clip.json").read_text(encoding="utf-8"))["question"]
