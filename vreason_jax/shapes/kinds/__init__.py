"""The kinds of question, one module each: `build(dice, level, frames) -> Puzzle`."""

from collections.abc import Callable

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.kinds import (
    before_after,
    bounce,
    colour,
    count,
    direction,
    fastest,
    order,
    position,
)
from vreason_jax.shapes.puzzle import Puzzle

BUILDERS: dict[str, Callable[[Dice, int, int], Puzzle]] = {
    "direction": direction.build,
    "count": count.build,
    "order": order.build,
    "bounce": bounce.build,
    "fastest": fastest.build,
    "colour": colour.build,
    "before_after": before_after.build,
    "position": position.build,
}
KINDS = tuple(BUILDERS)
LEVELS = (1, 2, 3)

# Frames without their order leave every option of these equally likely: what moves with the answer
# visits the same places whatever the answer is, and everything else shakes at random.
ORDER_KINDS = ("direction", "order", "colour", "before_after", "position")
