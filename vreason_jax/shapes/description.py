"""Clips in words: their questions for models that are shown no video."""

import itertools
import json
from typing import Any

from vreason_jax.shapes.sample import SampleText
from vreason_jax.shapes.scene import Scene, Thing, per_second
from vreason_jax.shapes.words import place


def describe(scene: Scene) -> str:
    """Returns a line for each thing, from back to front: what it looks like, where, and when."""
    return "\n".join(map(_timeline, scene.things))


def question_in_words(sample: SampleText) -> str:
    """Returns the user's turn of one who sees no clip: the clip in words, then the question."""
    return f"{describe(sample.scene)}\n{sample.question}"


def text_row(sample: SampleText) -> dict[str, Any]:
    """Returns a sample's question behind its clip in words, as `--benchmark text` reads it."""
    row = {
        "id": sample.name,
        "question": f"{describe(sample.scene)}\n{sample.problem}",
        "options": list(sample.options) or None,
        "answer": sample.answer,
        "task": sample.kind,
    }
    return {key: value for key, value in row.items() if value is not None}


def json_line(sample: SampleText) -> str:
    """Returns the row as a line of JSON."""
    return json.dumps(text_row(sample)) + "\n"


def _timeline(thing: Thing) -> str:
    """Returns "circle: 0s red top left. 1s red left. ...", equal seconds together."""
    places = map(place, per_second(thing.y), per_second(thing.x))
    seen = per_second(thing.visible.astype(float)) > 0
    looks = zip(thing.colours[::2], places, seen, strict=True)
    entries = enumerate(f"{colour} {at}" if shown else "hidden" for colour, at, shown in looks)
    spans = []
    for entry, group in itertools.groupby(entries, key=lambda pair: pair[1]):
        seconds = [second for second, _ in group]
        until = f" to {seconds[-1]}s" if len(seconds) > 1 else ""
        spans.append(f"{seconds[0]}s{until} {entry}.")
    return f"{thing.shape}: {' '.join(spans)}"
