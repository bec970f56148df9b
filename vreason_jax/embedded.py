"""What the package carries so that it runs without a download: a clip, its question, a model."""

import json
import sys
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
CLIP = ASSETS / "clip.mp4"


def embedded_question() -> str:
    """Returns the question about the embedded clip, with its options."""
    return json.loads((ASSETS / "clip.json").read_text(encoding="utf-8"))["question"]


def embedded_checkpoint() -> Path:
    """Returns the folder of the embedded checkpoint.

    Until a trained one is embedded this is a tiny random one, and a line on stderr says so.
    """
    from vreason_jax.runtime.compilation import cache_folder
    from vreason_jax.tiny import write_tiny_checkpoint

    print(
        "warning: no trained checkpoint is embedded: a tiny random one answers, in random bytes",
        file=sys.stderr,
    )
    return write_tiny_checkpoint(cache_folder() / "random-checkpoint")
