"""Questions about what happens right before or after an event; each of four shapes acts once."""

import numpy as np

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import shaking
from vreason_jax.shapes.puzzle import (
    CELLS,
    Cell,
    Puzzle,
    blocks,
    cell_centre,
    draw_radius,
    make_options,
    make_puzzle,
)
from vreason_jax.shapes.scene import COLOURS, SHAPES, Thing, make_thing
from vreason_jax.shapes.words import (
    Maybe,
    conclude,
    opening,
    restate,
    second_look,
    timeline,
)

EVENTS = ("jumps", "blinks", "grows", "flashes")  # of one second each
JUMP = 14.0  # pixels, half a cell


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Returns a puzzle. Level 1: an event every two seconds; 2: uneven; 3: shaking, with blocks."""
    cells, colours = dice.shuffled(CELLS), dice.some(COLOURS, 4)
    seconds = _event_seconds(dice, level, frames // 2)
    events = [dice.pick(EVENTS) for _ in colours]
    things = [
        _acting(dice, level, frames, *what)
        for what in zip(colours, cells[:4], events, seconds, strict=True)
    ]
    short = [f"{colour} {event}" for colour, event in zip(colours, events, strict=True)]
    doings = [
        f"{colour} {thing.shape} {event}"
        for colour, thing, event in zip(colours, things, events, strict=True)
    ]
    entries = ["still"] * (frames // 2)
    for second, text in zip(seconds, short, strict=True):
        entries[second] = text
    asked, relation = dice.whole(0, 3), dice.pick(("before", "after"))
    truth, others = _neighbours(doings, relation)[asked], _neighbours(short, relation)
    wrong = [text for text in [*doings, "nothing"] if text not in (truth, doings[asked])]
    options, letter = make_options(dice, truth, wrong)
    steps = [
        opening(dice, dice.pick(("list what happens", "find every event"))),
        timeline(dice, entries),
        Maybe(second_look(dice, entries)),
        Maybe(restate(dice, ", then ".join(short))),
        "\n".join(
            f"Right {relation} {event}: {other}."
            for event, other in zip(short, others, strict=True)
        ),
        f"Right {relation} {short[asked]} comes {others[asked]}.",
        conclude(truth),
    ]
    walls = blocks(dice, cells[4 : 3 + level], frames) if level == 3 else []
    return make_puzzle(
        dice,
        [*walls, *things],
        f"What happens right {relation} the {doings[asked]}?",
        options,
        letter,
        steps,
    )


def _neighbours(events: list[str], relation: str) -> list[str]:
    return [*events[1:], "nothing"] if relation == "after" else ["nothing", *events[:-1]]


def _event_seconds(dice: Dice, level: int, seconds: int) -> list[int]:
    if level == 1:
        first = dice.whole(0, seconds - 7)
        return [first, first + 2, first + 4, first + 6]
    return sorted(dice.some(range(seconds), 4))


def _acting(
    dice: Dice, level: int, frames: int, colour: str, cell: Cell, event: str, second: int
) -> Thing:
    y, x = cell_centre(dice, cell, 1.5)
    y = y + 6.0 if cell[0] == 0 else y  # room for a jump
    reach = 1.5 if level == 3 else 0.0
    now = np.arange(frames) // 2 == second
    radius = draw_radius(dice, level)
    return make_thing(
        dice.pick(SHAPES),
        ["white" if flag and event == "flashes" else colour for flag in now],
        shaking(dice, frames, y, reach) - JUMP * (now & (event == "jumps")),
        shaking(dice, frames, x, reach),
        frames=frames,
        radius=radius * np.where(now & (event == "grows"), 1.5, 1.0),
        visible=~(now & (event == "blinks")),
    )
