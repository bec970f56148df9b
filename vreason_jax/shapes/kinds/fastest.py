"""Which shape is the fastest: each in its own lane; on the last level they change speed."""

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import two_speeds
from vreason_jax.shapes.puzzle import Puzzle, draw_radius, make_options, make_scene
from vreason_jax.shapes.scene import COLOURS, HEIGHT, SHAPES, WIDTH, Thing, make_thing
from vreason_jax.shapes.words import (
    Maybe,
    column_word,
    compose,
    conclude,
    listed,
    opening,
    restate,
    slip,
)

EDGE = 10.0  # pixels that a centre stays away from the side


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Level 1: three shapes; 2: four; 3: four, of which one speeds up and one slows down."""
    number = 3 if level == 1 else 4
    winner = dice.whole(0, number - 1)
    moves = _moves(dice, level, number, winner)
    colours = dice.some(COLOURS, number)
    things = [
        _runner(dice, frames, number, lane, colours[lane], moves[lane]) for lane in range(number)
    ]
    names = [thing.name for thing in things]
    truth = names[winner]
    options, letter = make_options(dice, truth, [name for name in names if name != truth])
    wrong = dice.pick([colour for colour in colours if colour != colours[winner]])
    at_end = level == 3
    when = " at the end" if at_end else ""
    lanes = dice.shuffled(range(number))
    slow = [colours[lane] for lane in lanes if lane != winner]
    steps = [
        opening(dice, f"compare how fast the shapes are{when}"),
        "\n".join(_report(thing, colours[lane], frames) for lane, thing in enumerate(things)),
        Maybe(
            slip(dice, f"{wrong} is the fastest{when}", f"{colours[winner]} is the fastest{when}")
        ),
        "\n".join(f"{colours[lane]} is {'fast' if lane == winner else 'slow'}." for lane in lanes),
        Maybe(restate(dice, f"{listed(slow)} are slow and {colours[winner]} is fast")),
        Maybe(f"The {truth} goes from {_at(things[winner], 0)} to {_at(things[winner], -1)}."),
        f"The fastest shape{when} is the {truth}.",
        conclude(truth, letter),
    ]
    return Puzzle(
        make_scene(dice, things),
        f"Which shape is the fastest{when}?",
        options,
        letter,
        compose(dice, steps, letter),
    )


def _moves(dice: Dice, level: int, number: int, winner: int) -> list[tuple[float, float]]:
    """Returns how many pixels every thing moves in the first and in the second half."""
    if level < 3:
        most = 34.0 if level == 1 else 46.0
        halves = [dice.real(12.0, most) / 2 for _ in range(number)]
        halves[winner] = dice.real(78.0, 90.0) / 2
        return [(half, half) for half in halves]
    moves = [(dice.real(8.0, 30.0), dice.real(6.0, 20.0)) for _ in range(number)]
    decoy = dice.pick([lane for lane in range(number) if lane != winner])
    moves[decoy] = (dice.real(44.0, 56.0), moves[decoy][1])
    moves[winner] = (dice.real(8.0, 24.0), dice.real(44.0, 56.0))
    return moves


def _runner(dice: Dice, frames: int, number: int, lane: int, colour: str, move) -> Thing:
    room = WIDTH - 2 * EDGE - sum(move)
    x = two_speeds(frames, EDGE + dice.real(0.0, room), *move)
    if dice.chance(0.5):
        x = WIDTH - x
    height = HEIGHT / number
    y = (lane + 0.5) * height + dice.real(-1.0, 1.0)
    radius = draw_radius(dice, 1 if number == 3 else 3)
    return make_thing(dice.pick(SHAPES), colour, y, x, frames=frames, radius=radius)


def _report(thing: Thing, colour: str, frames: int) -> str:
    last = frames // 2 - 1
    middle = frames // 4
    return (
        f"{colour}: 0s {_at(thing, 0)}, {middle}s {_at(thing, middle)}, {last}s {_at(thing, last)}."
    )


def _at(thing: Thing, second: int) -> str:
    return column_word(thing.x.reshape(-1, 2)[second].mean())
