"""A sample: the clip, its question, the answer and the reply, from split and index alone."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from vreason_jax.errors import UserError, shown
from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.kinds import BUILDERS, KINDS, LEVELS
from vreason_jax.shapes.puzzle import Puzzle
from vreason_jax.shapes.render import render
from vreason_jax.shapes.scene import FPS, FRAMES, MAX_FRAMES, MIN_FRAMES, Scene, per_second
from vreason_jax.shapes.text import question_text
from vreason_jax.shapes.words import LETTERS, in_tags, place, restate_question

# Scenes are dealt to the splits by a hash of what they show, in tenths: a scene of one split cannot
# occur in another, however the draws fall.
SPLIT_TENTHS = {"train": range(0, 6), "validation": range(6, 8), "test": range(8, 10)}
SPLITS = tuple(SPLIT_TENTHS)
SPLIT_SIZE = {"train": 1_000_000_000, "validation": 100_000, "test": 100_000}


@dataclasses.dataclass(frozen=True)
class SampleText:
    """A sample without its frames."""

    split: str
    index: int
    kind: str
    level: int
    problem: str
    options: tuple[str, ...]  # "A. left", ...; empty where the answer is a number
    answer: str  # a letter, or a number
    answer_words: str  # the option that the letter stands for, or the number
    reply: str  # "<think>...</think>\n<answer>blue square</answer>"
    scene: Scene

    @property
    def question(self) -> str:
        """The user's turn: the problem and one line per option."""
        return question_text(self.problem, self.options)

    @property
    def name(self) -> str:
        """The name, unique within `shapes`: "test-000012-count-2"."""
        return f"{self.split}-{self.index:06d}-{self.kind}-{self.level}"

    def row(self, path: str) -> dict[str, Any]:
        """Returns the annotation row in the Video-R1 format; `path` starts with "./"."""
        return {
            "problem_id": self.index,
            "problem": self.problem,
            "data_type": "video",
            "problem_type": "multiple choice" if self.options else "numerical",
            "original_question_type": self.kind,
            "options": list(self.options),
            "process": self.reply,
            "solution": f"<answer>{self.answer}</answer>",
            "path": path,
            "data_source": "shapes",
            "split": self.split,
            "level": self.level,
        }


@dataclasses.dataclass(frozen=True)
class Sample(SampleText):
    """A sample with its clip."""

    frames: np.ndarray  # uint8 [F, 84, 112, 3]
    fps: float  # 2: a temporal patch is a second


def sample(split, index, kind=None, level=None, *, frames: int = FRAMES) -> Sample:
    """Returns a sample; the same arguments give the same bytes.

    Args:
      split: "train", "validation" or "test".
      index: 0 .. SPLIT_SIZE[split] - 1.
      kind: one of KINDS; by default the index chooses one in turn.
      level: 1, 2 or 3; by default it changes after each round of the kinds.
      frames: an even number of 16 to 20.

    Raises:
      UserError: an argument is unknown or out of range.
    """
    text = sample_text(split, index, kind, level, frames=frames)
    fields = {field.name: getattr(text, field.name) for field in dataclasses.fields(text)}
    return Sample(**fields, frames=render(text.scene), fps=FPS)


def sample_text(split, index, kind=None, level=None, *, frames: int = FRAMES) -> SampleText:
    """Returns the result of `sample` without the pixels, which are most of the work."""
    _check(split, index, kind, level, frames)
    kind = KINDS[index % len(KINDS)] if kind is None else kind
    level = LEVELS[index // len(KINDS) % len(LEVELS)] if level is None else level
    puzzle = _puzzle(split, index, kind, level, frames)
    options = tuple(
        f"{letter}. {text}" for letter, text in zip(LETTERS, puzzle.options, strict=False)
    )
    restated = restate_question(puzzle.problem, puzzle.options)
    return SampleText(
        split,
        index,
        kind,
        level,
        puzzle.problem,
        options,
        puzzle.answer,
        puzzle.answer_words,
        in_tags(f"{restated}\n{puzzle.reasoning}", puzzle.answer_words),
        puzzle.scene,
    )


def scene_signature(scene: Scene) -> str:
    """Returns a scene in words, to the second and the cell.

    Scenes with the same pixels have the same signature, so splits without a common signature have
    no common clip. Scenes that differ by a few pixels mostly have the same signature too.
    """
    return "; ".join([str(scene.background), *sorted(map(_shown, scene.things))])


def split_of(scene: Scene) -> str:
    """Returns the split that a scene belongs to, from its signature alone."""
    digest = hashlib.blake2b(scene_signature(scene).encode(), digest_size=4).digest()
    tenth = int.from_bytes(digest, "big") % 10
    return next(split for split, tenths in SPLIT_TENTHS.items() if tenth in tenths)


def _puzzle(split: str, index: int, kind: str, level: int, frames: int) -> Puzzle:
    number = None
    for attempt in range(10_000):
        dice = Dice(f"{split} {kind} {level} {frames} {index} {attempt}")
        puzzle = BUILDERS[kind](dice, level, frames)
        # Letters do not depend on the scene, but numbers do: the first draw decides the number, or
        # the hash would favour some.
        number = puzzle.answer if number is None and not puzzle.options else number
        if split_of(puzzle.scene) == split and number in (None, puzzle.answer):
            return puzzle
    raise AssertionError("a scene of this split should turn up long before")


def _shown(thing) -> str:
    cells = [place(y, x) for y, x in zip(per_second(thing.y), per_second(thing.x), strict=True)]
    visible = per_second(thing.visible.astype(float)) > 0
    seen = [
        f"{colour} {cell}" if shown else "-"
        for colour, cell, shown in zip(thing.colours[::2], cells, visible, strict=True)
    ]
    return f"{thing.shape}: {', '.join(seen)}"


def _check(split, index, kind, level, frames) -> None:
    if split not in SPLITS:
        raise UserError(f"shapes: expected a split of {', '.join(SPLITS)}, got {shown(split)}")
    if kind is not None and kind not in KINDS:
        raise UserError(f"shapes: expected a kind of {', '.join(KINDS)}, got {shown(kind)}")
    if level is not None and level not in LEVELS:
        raise UserError(f"shapes: expected a level of 1, 2, 3, got {shown(level)}")
    if not 0 <= index < SPLIT_SIZE[split]:
        last = SPLIT_SIZE[split] - 1
        raise UserError(f"shapes: expected an index of 0 to {last} in {split}, got {index}")
    if not MIN_FRAMES <= frames <= MAX_FRAMES or frames % 2:
        raise UserError(
            f"shapes: expected an even number of {MIN_FRAMES} to {MAX_FRAMES} frames, got {frames}"
        )
