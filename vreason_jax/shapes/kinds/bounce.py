"""Questions about how often a shape bounces off two opposite walls: none to three times."""

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import bouncing, shaking
from vreason_jax.shapes.puzzle import (
    CELLS,
    Puzzle,
    bystanders,
    draw_radius,
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
)
from vreason_jax.shapes.words import (
    Maybe,
    column_word,
    conclude,
    opening,
    restate,
    row_word,
    second_look,
    slip,
    timeline,
)

MOST = 3
NUMBER_WORDS = ("zero times", "once", "twice", "three times")


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Returns a puzzle. Level 1: up and down; 2: also left and right, with another; 3: with two."""
    across = level > 1 and dice.chance(0.5)
    times = dice.whole(0, MOST)
    traverse, contact = _timing(dice, times, frames)
    size = WIDTH if across else HEIGHT
    radius = draw_radius(dice, level)
    path = bouncing(frames, radius, size - radius, traverse=traverse, contact=contact)
    if mirrored := dice.chance(0.5):
        path = size - path
    lane = dice.whole(0, (ROWS if across else COLUMNS) - 1)
    steady = shaking(dice, frames, (lane + 0.5) * CELL, 0.5)
    colours = dice.shuffled(COLOURS)
    y, x = (steady, path) if across else (path, steady)
    hero = make_thing(dice.pick(SHAPES), colours[0], y, x, frames=frames, radius=radius)
    free = [cell for cell in CELLS if cell[0 if across else 1] != lane]
    others = bystanders(dice, level, dice.some(free, level - 1), colours[1:level], frames)
    words = ("right", "left") if across else ("down", "up")
    entries, walls = _story(path, words[::-1] if mirrored else words, contact, traverse)
    name = hero.name
    wrong = dice.pick([number for number in range(MOST + 1) if number != times])
    steps = [
        opening(dice, f"count how often the {name} bounces"),
        timeline(dice, entries),
        Maybe(second_look(dice, entries)),
        Maybe(slip(dice, f"it bounces {NUMBER_WORDS[wrong]}", f"it bounces {NUMBER_WORDS[times]}")),
        restate(dice, _ends(path, across)),
        restate(dice, f"the {name} goes " + ", then ".join(walls)),
        f"It turns around {NUMBER_WORDS[times]}. The {name} bounces {NUMBER_WORDS[times]}.",
        conclude(str(times)),
    ]
    return make_puzzle(
        dice, [*others, hero], f"How many times does the {name} bounce?", (), str(times), steps
    )


def _timing(dice: Dice, times: int, frames: int) -> tuple[int, int]:
    """Returns frames per crossing and the frame of the first contact, both even."""
    fits = [
        (traverse, contact)
        for traverse in range(4, frames + 5, 2)
        for contact in range(2, traverse + 1, 2)
        if len(range(contact, frames, traverse)) == times
    ]
    return dice.pick(fits)


def _story(path, words, contact: int, traverse: int) -> tuple[list[str], list[str]]:
    """Returns the heading in each second, with bounces, and the headings without repetition."""
    entries, headings, bounces = [], [words[0]], 0
    for second in range(len(path) // 2):
        frame = 2 * second
        bounced = frame >= contact and (frame - contact) % traverse == 0
        if bounced:
            bounces += 1
            headings.append(words[bounces % 2])
        entries.append(headings[-1] + (f", bounce {bounces}" if bounced else ""))
    return entries, headings


def _ends(path, across: bool) -> str:
    word = column_word if across else row_word
    return f"it starts {word(path[:2].mean())} and ends {word(path[-2:].mean())}"
