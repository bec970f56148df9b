"""Questions about the fastest of the shapes, one in each row; on level 3 they change speed."""

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import two_speeds
from vreason_jax.shapes.puzzle import Puzzle, draw_radius, make_options, make_puzzle
from vreason_jax.shapes.scene import CELL, COLOURS, ROWS, SHAPES, WIDTH, Thing, make_thing
from vreason_jax.shapes.words import (
    Maybe,
    column_word,
    conclude,
    listed,
    opening,
    restate,
    slip,
)

EDGE = 10.0  # pixels that a centre stays away from the side


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Returns a puzzle. Level 1: a clear lead; 2: a smaller one; 3: two of them change speed."""
    winner = dice.whole(0, ROWS - 1)
    moves = _moves(dice, level, winner)
    colours = dice.some(COLOURS, ROWS)
    things = [
        _runner(dice, level, frames, row, *what)
        for row, what in enumerate(zip(colours, moves, strict=True))
    ]
    names = [thing.name for thing in things]
    truth = names[winner]
    options, letter = make_options(dice, truth, [name for name in names if name != truth])
    wrong = dice.pick([colour for colour in colours if colour != colours[winner]])
    at_end = level == 3
    when = " at the end" if at_end else ""
    speeds = ["fast" if row == winner else "slow" for row in range(ROWS)]
    rows = dice.shuffled(range(ROWS))
    slow = [colours[row] for row in rows if row != winner]
    steps = [
        opening(dice, f"compare how fast the shapes are{when}"),
        "\n".join(
            f"{colour}: {_places(thing, frames)}, {speed}."
            for colour, thing, speed in zip(colours, things, speeds, strict=True)
        ),
        Maybe(
            slip(dice, f"{wrong} is the fastest{when}", f"{colours[winner]} is the fastest{when}")
        ),
        Maybe("\n".join(f"{colours[row]} is {speeds[row]}." for row in rows)),
        Maybe(restate(dice, f"{listed(slow)} are slow and {colours[winner]} is fast")),
        Maybe(f"The {truth} goes from {_at(things[winner], 0)} to {_at(things[winner], -1)}."),
        f"The fastest shape{when} is the {truth}.",
        conclude(truth),
    ]
    return make_puzzle(dice, things, f"Which shape is the fastest{when}?", options, letter, steps)


def _moves(dice: Dice, level: int, winner: int) -> list[tuple[float, float]]:
    """Returns the pixels that each thing moves in the first and in the second half."""
    if level < 3:
        most = 34.0 if level == 1 else 46.0
        halves = [dice.real(12.0, most) / 2 for _ in range(ROWS)]
        halves[winner] = dice.real(78.0, 90.0) / 2
        return [(half, half) for half in halves]
    moves = [(dice.real(8.0, 30.0), dice.real(6.0, 20.0)) for _ in range(ROWS)]
    decoy = dice.pick([row for row in range(ROWS) if row != winner])
    moves[decoy] = (dice.real(44.0, 56.0), moves[decoy][1])
    moves[winner] = (dice.real(8.0, 24.0), dice.real(44.0, 56.0))
    return moves


def _runner(dice: Dice, level: int, frames: int, row: int, colour: str, move) -> Thing:
    room = WIDTH - 2 * EDGE - sum(move)
    x = two_speeds(frames, EDGE + dice.real(0.0, room), *move)
    if dice.chance(0.5):
        x = WIDTH - x
    y = (row + 0.5) * CELL + dice.real(-1.0, 1.0)
    radius = draw_radius(dice, level)
    return make_thing(dice.pick(SHAPES), colour, y, x, frames=frames, radius=radius)


def _places(thing: Thing, frames: int) -> str:
    seconds = 0, frames // 4, frames // 2 - 1
    return listed([f"{second}s {_at(thing, second)}" for second in seconds])


def _at(thing: Thing, second: int) -> str:
    return column_word(thing.x.reshape(-1, 2)[second].mean())
