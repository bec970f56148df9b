"""What the package carries so that it runs without a download: a clip, its question, a model."""

import atexit
import functools
import json
import shutil
import sys
import tempfile
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
CLIP = ASSETS / "clip.mp4"


def embedded_question() -> str:
    """Returns the question about the embedded clip, with its options."""
    return json.loads((ASSETS / "clip.json").read_text(encoding="utf-8"))["question"]


@functools.cache
def embedded_checkpoint() -> Path:
    """Returns the folder of the embedded checkpoint.

    Until a trained one is embedded this is a tiny random one, written anew by every process and
    removed at its end, and a line on stderr says so.
    """
    from vreason_jax.tiny import write_tiny_checkpoint

    print(
        "warning: no trained checkpoint is embedded: a tiny random one answers, in random bytes",
        file=sys.stderr,
    )
    folder = tempfile.mkdtemp(prefix="vreason-jax-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_tiny_checkpoint(folder)
