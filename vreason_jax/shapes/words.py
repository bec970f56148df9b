"""The words of the questions and replies: places, options, and the steps of the reasoning."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from vreason_jax.shapes.dice import Dice
from vreason_jax.shapes.scene import CELL, COLUMNS, ROWS

ROW_WORDS = ("top", "middle", "bottom")
COLUMN_WORDS = ("far left", "left", "right", "far right")
LETTERS = "ABCD"
ORDINALS = ("first", "second", "third", "last")

# A reply is 120 to 300 tokens long. A word or a run of signs is about one token, so this many of
# them are enough beside the question, which `sample` puts first (tests count the real tokens).
SHORTEST_WITH_OPTIONS, SHORTEST_WITH_NUMBER = 105, 114


class Maybe(NamedTuple):
    """A step that a reply may leave out if it is long enough without it."""

    text: str


def row_word(y: float) -> str:
    """Returns "top", "middle" or "bottom"."""
    return ROW_WORDS[min(max(int(y // CELL), 0), ROWS - 1)]


def column_word(x: float) -> str:
    """Returns "far left", "left", "right" or "far right"."""
    return COLUMN_WORDS[min(max(int(x // CELL), 0), COLUMNS - 1)]


def place(y: float, x: float) -> str:
    """Returns the words for a cell, such as "top far left"."""
    return f"{row_word(y)} {column_word(x)}"


def listed(items: Sequence[str]) -> str:
    """Returns "red, blue, green"."""
    return ", ".join(items)


def restate_question(problem: str, options: Sequence[str]) -> str:
    """Returns the problem, then the options without their letters, one below the other.

    This teaches a model early to look things up in the question.
    """
    return "\n".join([problem, *(f"{text}." for text in options)])


def opening(dice: Dice, goal: str) -> str:
    """Returns the first step, which names the task and the way to do it."""
    first = dice.pick(
        ("I need to {}.", "Let me {}.", "The question asks me to {}.", "My task is to {}.")
    ).format(goal)
    second = dice.pick(
        (
            "I go through the clip.",
            "I look closely.",
            "Here is what I see.",
            "This is what the clip shows.",
        )
    )
    return f"{first} {second}"


def timeline(dice: Dice, entries: Sequence[str]) -> str:
    """Returns one line per second: "0s far left."."""
    line = dice.pick(("{}s {}.", "{}s {}.", "{}s: {}.", "{}s, {}."))
    return "\n".join(line.format(second, entry) for second, entry in enumerate(entries))


def second_look(dice: Dice, entries: Sequence[str]) -> str:
    """Returns a mistake about one second of the timeline, and its correction."""
    second = dice.whole(0, len(entries) - 1)
    right = entries[second]
    wrong = dice.pick([entry for entry in entries if entry != right] or [right])
    return slip(dice, f"{wrong} at {second}s", f"{right} at {second}s")


def slip(dice: Dice, wrong: str, right: str) -> str:
    """Returns a wrong clause and its correction, or a check if the two are equal."""
    if wrong == right:
        return dice.pick(("I check again: {}.", "Yes, {}.", "To be sure, {}.")).format(right)
    return dice.pick(
        (
            "At first I thought {}. Wait, {}.",
            "Maybe {}? Wait, I look again: {}.",
            "It seems {}. No, wait, {}.",
            "Is it that {}? Wait, no, {}.",
        )
    ).format(wrong, right)


def restate(dice: Dice, text: str) -> str:
    """Returns the same facts with a new introduction."""
    return dice.pick(
        ("Let me say it again: {}.", "In other words, {}.", "So far: {}.", "To sum up, {}.")
    ).format(text)


def conclude(text: str) -> str:
    """Returns the last step, always in the same words."""
    return f"So the answer is {text}."


def compose(dice: Dice, steps: Sequence[str | Maybe], answer: str) -> str:
    """Returns the reasoning: one step per line, without some of the optional ones."""
    shortest = SHORTEST_WITH_OPTIONS if answer in LETTERS else SHORTEST_WITH_NUMBER
    kept = list(steps)
    for step in dice.shuffled([step for step in steps if isinstance(step, Maybe)]):
        shorter = [other for other in kept if other is not step]
        if dice.chance(0.5) and _length(in_tags(_joined(shorter), answer)) >= shortest:
            kept = shorter
    return _joined(kept)


def in_tags(reasoning: str, answer: str) -> str:
    """Returns the reply: reasoning and answer in their tags."""
    return f"<think>\n{reasoning}\n</think>\n<answer>{answer}</answer>"


def _joined(steps: Sequence[str | Maybe]) -> str:
    return "\n".join(step.text if isinstance(step, Maybe) else step for step in steps)


def _length(text: str) -> int:
    return len(re.findall(r"\d|[^\W\d]+|[^\w\s]+", text))
