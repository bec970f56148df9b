"""`shapes`: synthetic videos of moving shapes, with questions and step-by-step replies.

    dice -> scene, motion, words -> kinds/* -> sample -> render    a clip and its question
    text, tokenizer                                                what a model reads and writes
    export, sheet, __main__                                        mp4 files, rows, contact sheets

Everything is a pure function of (split, index, kind, level, frames). Nothing is stored, and train,
validation and test never share a scene (see `sample`). The package needs NumPy alone, except for
PyAV in `export`, Pillow in `sheet` and the tokenizers library in `tokenizer`.
"""

from vreason_jax.shapes.kinds import KINDS, ORDER_KINDS
from vreason_jax.shapes.sample import SPLITS, Sample, sample, sample_text

__all__ = ["KINDS", "ORDER_KINDS", "SPLITS", "Sample", "sample", "sample_text"]
