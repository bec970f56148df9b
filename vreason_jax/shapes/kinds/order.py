"""Questions about the first, second, third or last of four shapes that appear one at a time."""

import numpy as np

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import durations, shaking
from vreason_jax.shapes.puzzle import (
    CELLS,
    Puzzle,
    blocks,
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
    """Returns a puzzle. Level 1: two seconds each; 2: uneven, shaking, a block; 3: two, or gaps."""
    things, entries = appearances(dice, level, frames)
    cells = dice.some(CELLS, level - 1)
    names = [thing.name for thing in things]
    asked = dice.whole(0, len(ORDINALS) - 1)
    truth = names[asked]
    options, letter = make_options(dice, truth, [name for name in names if name != truth])
    ordinal = ORDINALS[asked]
    steps = [
        opening(dice, dice.pick(("put the shapes in order", "see which shape comes when"))),
        timeline(dice, entries),
        Maybe(second_look(dice, entries)),
        Maybe(restate(dice, f"the shapes are {listed(names)}")),
        "\n".join(f"{word}: {name}." for word, name in zip(ORDINALS, names, strict=True)),
        f"The {ordinal} shape is the {truth}.",
        conclude(truth),
    ]
    return make_puzzle(
        dice,
        [*blocks(dice, cells, frames), *things],
        f"Which shape appears {ordinal}?",
        options,
        letter,
        steps,
    )


def appearances(dice: Dice, level: int, frames: int) -> tuple[list[Thing], list[str]]:
    """Returns four things that appear one after another, and the words for each second."""
    parts = 4 + (level == 3)  # the fifth part is empty
    seconds = durations(dice, parts, frames // 2, even=level == 1)
    present = list(range(4))
    if level == 3:
        present.insert(dice.whole(0, 4), -1)
    shown = np.repeat(present, seconds)  # [F / 2]
    things = []
    colours = dice.some(COLOURS, 4)
    for number, cell in enumerate(dice.some(CELLS, 4)):
        y, x = cell_centre(dice, cell)
        if level > 1:
            y, x = shaking(dice, frames, y, 2.5), shaking(dice, frames, x, 2.5)
        visible = np.repeat(shown == number, 2)
        things.append(
            make_thing(
                dice.pick(SHAPES),
                colours[number],
                y,
                x,
                frames=frames,
                radius=draw_radius(dice, level),
                visible=visible,
            )
        )
    return things, ["nothing" if number < 0 else things[number].name for number in shown]
