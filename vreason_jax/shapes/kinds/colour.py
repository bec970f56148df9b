"""Questions about the first, second, third or last colour of a shape that changes three times."""

import numpy as np

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import durations, shaking
from vreason_jax.shapes.puzzle import (
    CELLS,
    Cell,
    Puzzle,
    cell_centre,
    draw_radius,
    make_options,
    make_puzzle,
)
from vreason_jax.shapes.scene import COLOURS, SHAPES, Thing, make_thing
from vreason_jax.shapes.words import (
    ORDINALS,
    Maybe,
    conclude,
    listed,
    opening,
    restate,
    second_look,
    timeline,
)


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Returns a puzzle. Level 1: alone; 2: uneven, with another; 3: with one that changes too."""
    shapes, cells = dice.shuffled(SHAPES), dice.some(CELLS, level)
    sequences = [dice.some(COLOURS, 4) for _ in range(2)]
    hero, seconds = _changing(dice, level, frames, shapes[0], sequences[0], cells[0])
    others = []
    if level == 2:
        others = [_changing(dice, level, frames, shapes[1], sequences[1][:1], cells[1])[0]]
    if level == 3:
        others = [_changing(dice, level, frames, shapes[1], sequences[1], cells[1])[0]]
    entries = [
        colour for colour, length in zip(sequences[0], seconds, strict=True) for _ in range(length)
    ]
    asked = dice.whole(0, len(ORDINALS) - 1)
    ordinal, truth = ORDINALS[asked], sequences[0][asked]
    options, letter = make_options(dice, truth, [c for c in sequences[0] if c != truth])
    turns = [f"from {a} to {b}" for a, b in zip(sequences[0], sequences[0][1:], strict=False)]
    steps = [
        opening(dice, f"watch the colour of the {shapes[0]}"),
        timeline(dice, entries),
        Maybe(second_look(dice, entries)),
        Maybe(restate(dice, f"it turns {listed(turns)}")),
        Maybe(restate(dice, f"the colours are {listed(sequences[0])}")),
        "\n".join(f"{word}: {c}." for word, c in zip(ORDINALS, sequences[0], strict=True)),
        f"The {ordinal} colour of the {shapes[0]} is {truth}.",
        conclude(truth),
    ]
    return make_puzzle(
        dice,
        [*others, hero],
        f"What is the {ordinal} colour of the {shapes[0]}?",
        options,
        letter,
        steps,
    )


def _changing(
    dice: Dice, level: int, frames: int, shape: str, colours: list[str], cell: Cell
) -> tuple[Thing, list[int]]:
    seconds = durations(dice, len(colours), frames // 2, even=level == 1)
    y, x = cell_centre(dice, cell)
    if level > 1:
        y, x = shaking(dice, frames, y, 2.5), shaking(dice, frames, x, 2.5)
    thing = make_thing(
        shape,
        np.repeat(colours, np.asarray(seconds) * 2).tolist(),
        y,
        x,
        frames=frames,
        radius=draw_radius(dice, level),
    )
    return thing, seconds
