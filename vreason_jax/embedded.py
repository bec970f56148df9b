"""What the package carries so that it runs without a download: a clip, its question, a model."""

import json
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
CLIP = ASSETS / "clip.mp4"
CHECKPOINT = ASSETS / "checkpoint"  # trained on `shapes`; its README.md is the model card


def embedded_question() -> str:
    """Returns the question about the embedded clip, with its options."""
    return json.loads((ASSETS / "clip.json").read_text(encoding="utf-8"))["question"]
