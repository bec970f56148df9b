"""The result of every kind of question: a scene, a question, the answer and the reply."""

import dataclasses
from collections.abc import Sequence

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import shaking
from vreason_jax.shapes.scene import (
    BACKGROUNDS,
    CELL,
    COLUMNS,
    ROWS,
    SHAPES,
    Scene,
    Thing,
    make_thing,
    make_wall,
)
from vreason_jax.shapes.words import LETTERS, Maybe, compose

Cell = tuple[int, int]  # row, column
CELLS = tuple((row, column) for row in range(ROWS) for column in range(COLUMNS))


@dataclasses.dataclass(frozen=True)
class Puzzle:
    """A question about a scene. `options` are texts without letters, empty for a number.

    `reasoning` is the reply without its tags and without the question at its beginning.
    """

    scene: Scene
    problem: str
    options: tuple[str, ...]
    answer: str  # a letter, or a number
    reasoning: str

    @property
    def answer_words(self) -> str:
        """The text of the right option, or the number."""
        return self.options[LETTERS.index(self.answer)] if self.options else self.answer


def make_options(dice: Dice, right: str, wrong: list[str]) -> tuple[tuple[str, ...], str]:
    """Returns the options in random order and the letter of the right one."""
    options = dice.shuffled([right, *wrong])
    return tuple(options), LETTERS[options.index(right)]


def make_puzzle(
    dice: Dice,
    things: list[Thing],
    problem: str,
    options: tuple[str, ...],
    answer: str,
    steps: Sequence[str | Maybe],
) -> Puzzle:
    """Returns the puzzle: `things`, back to front, on one of the backgrounds, and its reasoning."""
    scene = Scene(tuple(things), dice.pick(BACKGROUNDS))
    return Puzzle(scene, problem, options, answer, compose(dice, steps, answer))


def draw_radius(dice: Dice, level: int) -> float:
    """Returns half the size of a thing in pixels: smaller on the harder levels."""
    return dice.real(11.4 - 0.9 * level, 12.4 - 0.9 * level)


def cell_centre(dice: Dice, cell: Cell, jitter: float = 2.0) -> tuple[float, float]:
    """Returns y and x near the middle of a cell."""
    row, column = cell
    return (
        (row + 0.5) * CELL + dice.real(-jitter, jitter),
        (column + 0.5) * CELL + dice.real(-jitter, jitter),
    )


def bystanders(
    dice: Dice, level: int, cells: list[Cell], colours: Sequence[str], frames
) -> list[Thing]:
    """Returns a shaking thing for every cell; it distracts, and does not reveal the order."""
    things = []
    for cell, colour in zip(cells, colours, strict=True):
        y, x = cell_centre(dice, cell, 0.0)
        path = shaking(dice, frames, y, 3.0), shaking(dice, frames, x, 3.0)
        radius = draw_radius(dice, level)
        things.append(make_thing(dice.pick(SHAPES), colour, *path, frames=frames, radius=radius))
    return things


def blocks(dice: Dice, cells: list[Cell], frames: int) -> list[Thing]:
    """Returns a still gray block for every cell."""
    return [
        make_wall(*cell_centre(dice, cell), frames=frames, radius=dice.real(8.0, 10.0))
        for cell in cells
    ]
