"""What the package carries so that it runs without a download: a clip, its question, models."""

import json
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
CLIP = ASSETS / "clip.mp4"
CHECKPOINT = ASSETS / "checkpoint"  # where no other is asked for
# By name, trained on `shapes`; the README.md of each is its model card.
CHECKPOINTS = {"shapes": CHECKPOINT} | {at.name: at for at in sorted(ASSETS.glob("shapes-*"))}


def embedded_question() -> str:
    """Returns the question about the embedded clip, with its options."""
    return json.loads((ASSETS / "clip.json").read_text(encoding="utf-8"))["question"]
