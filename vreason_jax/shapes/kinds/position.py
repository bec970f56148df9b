"""Questions about the place of a jumping shape at one second."""

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import stops
from vreason_jax.shapes.puzzle import (
    CELLS,
    Cell,
    Puzzle,
    bystanders,
    cell_centre,
    draw_radius,
    make_options,
    make_puzzle,
)
from vreason_jax.shapes.scene import (
    COLOURS,
    ROWS,
    SHAPES,
    make_thing,
    per_second,
)
from vreason_jax.shapes.words import (
    Maybe,
    conclude,
    listed,
    opening,
    place,
    restate,
    second_look,
    timeline,
)


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Returns a puzzle. Level 1: columns of a row; 2: four places, with another; 3: each twice."""
    shape, colours = dice.pick(SHAPES), dice.shuffled(COLOURS)
    # In any order, so that the second in the question alone says nothing about the place.
    row = dice.whole(0, ROWS - 1)
    visited = dice.some([cell for cell in CELLS if cell[0] == row] if level == 1 else CELLS, 4)
    y, x, entries = _jumping(dice, level, frames, visited)
    hero = make_thing(shape, colours[0], y, x, frames=frames, radius=draw_radius(dice, level))
    free = [cell for cell in CELLS if cell not in visited]
    others = bystanders(dice, level, dice.some(free, level - 1), colours[1:level], frames)
    askable = {entry: [s for s, at in enumerate(entries) if at == entry] for entry in entries}
    truth = dice.pick(sorted(askable))  # the place first: each is right equally often
    second = dice.pick(askable[truth])
    options, letter = make_options(dice, truth, [text for text in askable if text != truth])
    name = hero.name
    steps = [
        opening(dice, f"find the {name} at {second}s"),
        timeline(dice, entries),
        Maybe(second_look(dice, entries)),
        Maybe(restate(dice, f"the {name} is seen {listed(list(askable))}")),
        f"At {second}s the {name} is {truth}.",
        conclude(truth),
    ]
    return make_puzzle(
        dice, [*others, hero], f"Where is the {name} at {second}s?", options, letter, steps
    )


def _jumping(dice: Dice, level: int, frames: int, cells: list[Cell]):
    """Returns y and x per frame, and the place in every second."""
    seconds = frames // 2
    # The same time in every place: else a second and how long a place is seen would tell something.
    visits = [number % len(cells) for number in range(seconds)]
    visits = dice.shuffled(visits) if level == 3 else sorted(visits)
    centres = [cell_centre(dice, cell) for cell in cells]
    y = stops([centres[number][0] for number in visits], [1] * seconds)
    x = stops([centres[number][1] for number in visits], [1] * seconds)
    places = [place(*at) for at in zip(per_second(y), per_second(x), strict=True)]
    return y, x, [at.split(" ", 1)[1] for at in places] if level == 1 else places
