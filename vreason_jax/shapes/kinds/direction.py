"""Questions about the way a shape moves along one axis: one way, or there and back."""

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import one_way, shaking, there_and_back
from vreason_jax.shapes.puzzle import (
    CELLS,
    Puzzle,
    bystanders,
    draw_radius,
    make_options,
    make_puzzle,
)
from vreason_jax.shapes.scene import (
    CELL,
    COLOURS,
    COLUMNS,
    HEIGHT,
    ROWS,
    SHAPES,
    WIDTH,
    make_thing,
    make_wall,
    per_second,
)
from vreason_jax.shapes.words import (
    Maybe,
    column_word,
    conclude,
    opening,
    restate,
    row_word,
    second_look,
    timeline,
)

HIDDEN_WITHIN = 8.0  # pixels between the centres of a shape and of the wall that hides it


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Returns a puzzle. Level 1: one shape; 2: another beside its lane; 3: two, and a wall."""
    across = dice.chance(0.5)  # along x
    words = ("right", "left") if across else ("down", "up")
    towards_high, returns = dice.chance(0.5), dice.chance(0.5)
    path = _path(dice, frames, WIDTH if across else HEIGHT, towards_high, returns)
    lane = dice.whole(0, (ROWS if across else COLUMNS) - 1)
    middle = (lane + 0.5) * CELL
    steady = shaking(dice, frames, middle, 1.0)
    shape, colours = dice.pick(SHAPES), dice.shuffled(COLOURS)
    y, x = (steady, path) if across else (path, steady)
    hero = make_thing(shape, colours[0], y, x, frames=frames, radius=draw_radius(dice, level))
    free = [cell for cell in CELLS if cell[0 if across else 1] != lane]
    others = bystanders(dice, level, dice.some(free, level - 1), colours[1:level], frames)
    entries = [(column_word if across else row_word)(at) for at in per_second(path)]
    walls = []
    if level == 3:
        wall = (dice.whole(1, COLUMNS - 2) + 0.5) * CELL if across else HEIGHT / 2
        at = (middle, wall) if across else (wall, middle)
        walls = [make_wall(*at, frames=frames)]
        entries = [
            f"{entry}, hidden" if abs(place - wall) < HIDDEN_WITHIN else entry
            for entry, place in zip(entries, per_second(path), strict=True)
        ]
    first, second = words if towards_high else words[::-1]
    texts = [words[0], words[1], *(f"{a} and back {b}" for a, b in (words, words[::-1]))]
    truth = f"{first} and back {second}" if returns else first
    options, letter = make_options(dice, truth, [text for text in texts if text != truth])
    name = hero.name
    clear = [entry.split(",")[0] for entry in entries]
    turn = clear[frames // 4]
    facts = f"it goes from {clear[0]} to {turn} and then to {clear[-1]}"
    steps = [
        opening(dice, f"follow the {name}"),
        timeline(dice, entries),
        Maybe(second_look(dice, entries)),
        Maybe(restate(dice, facts)),
        f"The {name} starts {clear[0]} and ends {clear[-1]}. "
        + (f"It turns around, {first} and then {second}." if returns else f"It moves {first}."),
        conclude(truth),
    ]
    return make_puzzle(
        dice, [*others, hero, *walls], f"Which way does the {name} move?", options, letter, steps
    )


def _path(dice: Dice, frames: int, size: int, towards_high: bool, returns: bool):
    low, high = dice.real(11.5, 13.5), size - dice.real(11.5, 13.5)
    ends = (low, high) if towards_high else (high, low)
    return (there_and_back if returns else one_way)(frames, *ends)
