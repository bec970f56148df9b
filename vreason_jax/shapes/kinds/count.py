"""Questions about the number of shapes: all, of one colour, or of one form."""

import numpy as np

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import shaking
from vreason_jax.shapes.puzzle import (
    CELLS,
    Cell,
    Puzzle,
    cell_centre,
    draw_radius,
    make_puzzle,
)
from vreason_jax.shapes.scene import COLOURS, COLUMNS, ROWS, SHAPES, Thing, make_thing
from vreason_jax.shapes.words import (
    ROW_WORDS,
    Maybe,
    conclude,
    opening,
    restate,
    slip,
)

MOST = 5
MOST_IN_ALL = 7


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Returns a puzzle. Level 1: all shapes; 2: those of a colour; 3: of a form, some briefly."""
    number = dice.whole(1, MOST)
    extra = 0 if level == 1 else dice.whole(1, MOST_IN_ALL - number)
    cells = dice.some(CELLS, number + extra)
    what, looks = _looks(dice, level, number, extra)
    things = {
        cell: _shown(dice, level, frames, cell, *look)
        for cell, look in zip(cells, looks, strict=True)
    }
    numbers = {cell: n for n, cell in enumerate(sorted(cells[:number]), 1)}
    wrong = dice.pick([n for n in range(1, MOST + 1) if n != number])
    noun = what if number > 1 else what.removesuffix("s")
    verb = "are" if number > 1 else "is"
    steps = [
        opening(dice, f"count the {what}"),
        *(_row(things, numbers, row) for row in range(ROWS)),
        Maybe(slip(dice, f"I count {wrong}", f"I count {number}")),
        _counts_so_far(numbers),
        Maybe(restate(dice, f"there {verb} {number} {noun} in the clip")),
        f"There {verb} {number} {noun}.",
        conclude(str(number)),
    ]
    return make_puzzle(
        dice,
        [things[cell] for cell in cells],
        f"How many {what} are there in the clip?",
        (),
        str(number),
        steps,
    )


def _looks(dice: Dice, level: int, number: int, extra: int):
    """Returns the words for the counted things, and all things' looks, counted ones first."""
    if level == 1:
        return "shapes", [(dice.pick(SHAPES), dice.pick(COLOURS)) for _ in range(number)]
    colours, shapes = dice.shuffled(COLOURS), dice.shuffled(SHAPES)
    if level == 2:
        same = [(dice.pick(SHAPES), colours[0]) for _ in range(number)]
        other = [(dice.pick(SHAPES), dice.pick(colours[1:])) for _ in range(extra)]
        return f"{colours[0]} shapes", same + other
    same = [(shapes[0], dice.pick(COLOURS)) for _ in range(number)]
    other = [(dice.pick(shapes[1:]), dice.pick(COLOURS)) for _ in range(extra)]
    return f"{shapes[0]}s", same + other


def _shown(dice: Dice, level: int, frames: int, cell: Cell, shape: str, colour: str) -> Thing:
    y, x = cell_centre(dice, cell)
    visible = np.ones(frames, bool)
    if level == 3 and dice.chance(0.5):
        length = dice.whole(frames // 4, frames // 2)
        start = dice.whole(0, frames - length)
        visible = (np.arange(frames) >= start) & (np.arange(frames) < start + length)
    return make_thing(
        shape,
        colour,
        shaking(dice, frames, y, 1.5),
        shaking(dice, frames, x, 1.5),
        frames=frames,
        radius=draw_radius(dice, level),
        visible=visible,
    )


def _row(things: dict[Cell, Thing], numbers: dict[Cell, int], row: int) -> str:
    """Returns the contents of a row; each counted thing has its number: "red circle 2"."""
    texts = []
    for cell in ((row, column) for column in range(COLUMNS)):
        name = things[cell].name if cell in things else "empty"
        texts.append(f"{name} {numbers[cell]}" if cell in numbers else name)
    return f"{ROW_WORDS[row]} row: {', '.join(texts)}."


def _counts_so_far(numbers: dict[Cell, int]) -> str:
    counts = [sum(cell[0] <= row for cell in numbers) for row in range(ROWS)]
    pairs = zip(ROW_WORDS, counts, strict=True)
    return f"{', '.join(f'{word} row {count}' for word, count in pairs)}."
