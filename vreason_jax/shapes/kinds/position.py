"""Where is a shape at a second: it crosses the clip, or jumps from place to place."""

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.motion import durations, one_way, shaking, stops, there_and_back
from vreason_jax.shapes.puzzle import (
    CELLS,
    Puzzle,
    bystanders,
    cell_centre,
    draw_radius,
    make_options,
    make_scene,
)
from vreason_jax.shapes.scene import (
    CELL,
    COLOURS,
    ROWS,
    SHAPES,
    WIDTH,
    make_thing,
    per_second,
)
from vreason_jax.shapes.words import (
    COLUMN_WORDS,
    Maybe,
    column_word,
    compose,
    conclude,
    listed,
    opening,
    place,
    restate,
    second_look,
    timeline,
    weigh_options,
)

MARGIN = 2.0  # pixels between a position that is asked for and the border of its column


def build(dice: Dice, level: int, frames: int) -> Puzzle:
    """Level 1: it crosses the columns; 2: it stops at four places, among others; 3: unevenly."""
    shape, colours = dice.pick(SHAPES), dice.shuffled(COLOURS)
    cells = dice.shuffled(CELLS)
    if level == 1:
        y, x, entries, askable = _crossing(dice, frames)
    else:
        y, x, entries, askable = _jumping(dice, level, frames, cells[:4])
    hero = make_thing(shape, colours[0], y, x, frames=frames, radius=draw_radius(dice, level))
    others = bystanders(dice, level, cells[4 : 3 + level], colours[1:level], frames)
    truth = dice.pick(sorted(askable))  # the place first: each is right equally often
    second = dice.pick(askable[truth])
    options, letter = make_options(dice, truth, [text for text in askable if text != truth])
    name = hero.name
    steps = [
        opening(dice, f"find the {name} at {second}s"),
        timeline(dice, entries),
        Maybe(second_look(dice, entries)),
        Maybe(restate(dice, f"the {name} is seen {listed(_runs(entries))}")),
        f"At {second}s the {name} is {truth}.",
        weigh_options(dice, options, letter),
        conclude(truth, letter),
    ]
    return Puzzle(
        make_scene(dice, [*others, hero]),
        f"Where is the {name} at {second}s?",
        options,
        letter,
        compose(dice, steps, letter),
    )


def _crossing(dice: Dice, frames: int):
    low, high = dice.real(11.5, 13.5), WIDTH - dice.real(11.5, 13.5)
    ends = (low, high) if dice.chance(0.5) else (high, low)
    x = dice.pick((one_way, there_and_back))(frames, *ends)
    y = shaking(dice, frames, (dice.whole(0, ROWS - 1) + 0.5) * CELL, 1.0)
    entries = [column_word(at) for at in per_second(x)]
    askable: dict[str, list[int]] = {word: [] for word in COLUMN_WORDS}
    for second, (early, late) in enumerate(x.reshape(-1, 2)):
        inside = all(MARGIN <= at % CELL <= CELL - MARGIN for at in (early, late))
        if inside and column_word(early) == column_word(late):
            askable[entries[second]].append(second)
    return y, x, entries, askable


def _jumping(dice: Dice, level: int, frames: int, cells):
    seconds = durations(dice, len(cells), frames // 2, even=level == 2)
    centres = [cell_centre(dice, cell) for cell in cells]
    y = stops([centre[0] for centre in centres], seconds)
    x = stops([centre[1] for centre in centres], seconds)
    entries = [place(*at) for at in zip(per_second(y), per_second(x), strict=True)]
    askable = {word: [s for s, entry in enumerate(entries) if entry == word] for word in entries}
    return y, x, entries, askable


def _runs(entries: list[str]) -> list[str]:
    """Returns the entries with repetitions in a row left out."""
    return [
        entry for before, entry in zip([None, *entries], entries, strict=False) if entry != before
    ]
