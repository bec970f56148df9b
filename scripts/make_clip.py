"""Writes the embedded clip and its question: vreason_jax/assets/clip.mp4 and clip.json.

    python scripts/make_clip.py [--kind direction --level 3 --index 9]

The clip comes from the validation split; the test split is only for measuring.
"""

import argparse
import json
from pathlib import Path

from vreason_jax.shapes import KINDS, sample
from vreason_jax.shapes.export import make_folder, write_mp4, write_text

ASSETS = Path(__file__).parents[1] / "vreason_jax" / "assets"
SPLIT = "validation"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", default="direction", choices=KINDS)
    parser.add_argument("--level", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--index", type=int, default=9)
    options = parser.parse_args()
    chosen = sample(SPLIT, options.index, options.kind, options.level)
    make_folder(ASSETS)
    write_mp4(ASSETS / "clip.mp4", chosen.frames, chosen.fps)
    record = {
        "question": chosen.question,
        "problem": chosen.problem,
        "options": list(chosen.options),
        "answer": chosen.answer,
        "split": chosen.split,
        "index": chosen.index,
        "kind": chosen.kind,
        "level": chosen.level,
        "fps": chosen.fps,
    }
    write_text(ASSETS / "clip.json", json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
